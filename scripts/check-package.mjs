// Packs the package and uses it as a new user would: installs the tarball into an empty folder,
// runs the command and imports the library.
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, posix } from 'node:path'
import { root } from './prepare.mjs'

const folder = mkdtempSync(join(tmpdir(), 'rootling-package-'))
const run = (program, args, options = {}) =>
  execFileSync(program, args, {
    cwd: folder,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
    ...options,
  })
const bin = (name) => join(root, 'node_modules/.bin', name)

try {
  const [packed] = JSON.parse(
    run('npm', ['pack', '--json', '--pack-destination', folder], { cwd: root }).replace(
      /^[^[]*/,
      '',
    ),
  )
  const files = packed.files.map(({ path }) => path)
  const unexpected = files.filter(
    (path) =>
      !/^(?:dist\/|docs\/(?:api\/(?:rootling\/)?)?[^/]+\.md$|docs\/server\/(?:Dockerfile|[^/]+\.(?:cfg|service|yaml))$|schema\/rootling\.schema\.json$|README\.md$|LICENSE$|package\.json$|SECURITY\.md$)/.test(
        path,
      ),
  )
  check(unexpected.length === 0, `files that do not belong in it: ${unexpected.join(', ')}`)
  check(!files.some((path) => /\.test\.|^test\//i.test(path)), 'test files are in the package')
  check(
    !files.some((path) => /compiled/.test(path)),
    'V8 code that was compiled for one machine is in the package',
  )
  checkLinks(files)
  checkNotice(files)
  const tarball = join(folder, packed.filename)

  run(bin('publint'), ['run', tarball, '--strict'], { stdio: 'inherit' })
  run(bin('attw'), [tarball, '--profile', 'esm-only'], { stdio: 'inherit' })

  writeFileSync(join(folder, 'package.json'), '{"private":true,"type":"module"}\n')
  run('npm', ['install', '--no-audit', '--no-fund', '--ignore-scripts', tarball])
  run('npm', ['install', '--global', '--prefix', folder, '--no-audit', '--no-fund', tarball])
  check(existsSync(join(folder, 'share/man/man1/rootling-issue.1')), 'npm links no manual page')
  const env = { ...process.env, ROOTLING_HOME: join(folder, 'home') }
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const rootling = join(folder, 'node_modules/.bin/rootling')
  check(run(rootling, ['--version']).trim() === version, 'rootling --version')
  const script = `
    import { certificateFor } from 'rootling'
    import { X509Certificate } from 'node:crypto'
    const { cert, key, ca, certPath } = await certificateFor(['localhost', '127.0.0.1', '::1'])
    if (!new X509Certificate(cert).checkHost('localhost') || !key || !ca) process.exit(1)
    console.log(certPath)`
  writeFileSync(join(folder, 'use.mjs'), script)
  check(run(process.execPath, ['use.mjs'], { env }).includes('cert.pem'), 'the library')
  const inMemory = `
    ephemeralAuthority()
      .then((ca) => ca.certificate())
      .then(({ names, files }) => console.log(names.join(), typeof files))`
  writeFileSync(
    join(folder, 'ca.mjs'),
    `import { ephemeralAuthority } from 'rootling/test'${inMemory}`,
  )
  writeFileSync(
    join(folder, 'ca.cjs'),
    `const { ephemeralAuthority } = require('rootling/test')${inMemory}`,
  )
  for (const file of ['ca.mjs', 'ca.cjs'])
    check(run(process.execPath, [file]).includes('localhost,127.0.0.1,::1 function'), file)
  run(rootling, ['issue', 'localhost', '--json'], { env })
  check(readFileSync(join(folder, 'localhost.pem'), 'utf8').includes('CERTIFICATE'), 'issue')
  check(run(rootling, ['--help']).includes('rootling install'), 'help')
  console.log(
    `The package is sound: ${files.length} files, ${Math.round(packed.unpackedSize / 1024)} KiB.`,
  )
} finally {
  rmSync(folder, { recursive: true, force: true })
}

/** Checks that links of the packed documents lead to packed files. */
function checkLinks(files) {
  for (const file of files.filter((path) => path.endsWith('.md'))) {
    const text = readFileSync(join(root, file), 'utf8')
    const links = [...text.matchAll(/\]\(([^)#\s]+)/g)].map(([, link]) => link)
    const targets = links.filter((link) => !link.startsWith('https://'))
    const lost = targets.filter((link) => !files.includes(posix.join(posix.dirname(file), link)))
    check(lost.length === 0, `${file} links to what is not in it: ${lost.join(', ')}`)
  }
}

/**
 * Checks that THIRD-PARTY.txt names every package whose code is in the bundles, as their source
 * maps tell, and that the dependencies have permissive licences and no install scripts.
 */
function checkNotice(files) {
  check(files.includes('dist/THIRD-PARTY.txt'), 'THIRD-PARTY.txt is missing')
  const notice = readFileSync(join(root, 'dist/THIRD-PARTY.txt'), 'utf8')
  const maps = files.filter((path) => /^dist\/cli\/.*\.map$/.test(path))
  const sources = maps.flatMap((path) => JSON.parse(readFileSync(join(root, path), 'utf8')).sources)
  const bundled = new Set(
    sources.flatMap((path) => /.*node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1] ?? []),
  )
  check(bundled.has('yargs') && bundled.has('node-forge'), 'the source maps name no packages')
  const unnamed = [...bundled].filter((name) => !notice.includes(`\n${name} `))
  check(unnamed.length === 0, `THIRD-PARTY.txt does not name ${unnamed.join(', ')}`)
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const scripts = ['preinstall', 'install', 'postinstall'].filter(
    (name) => name in manifest.scripts,
  )
  check(scripts.length === 0, `it runs ${scripts.join(', ')} where it is installed`)
  const repository = manifest.repository.url.replace(/^git\+|\.git$/g, '')
  check(
    manifest.homepage === `${repository}#readme` && manifest.bugs.url === `${repository}/issues`,
    'its addresses are of several repositories',
  )
  const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages
  // Others are this package, and the workspace of the reference, which is not packed.
  const runtime = Object.entries(lock).filter(
    ([path, { dev, link }]) => path.startsWith('node_modules/') && dev !== true && link !== true,
  )
  const permissive = /^(?:0BSD|Apache-2\.0|BSD-[23]-Clause|ISC|MIT|\(BSD-3-Clause OR GPL-2\.0\))$/
  const others = runtime.filter(([, { license }]) => !permissive.test(license ?? ''))
  check(others.length === 0, `licences to look at: ${others.map(([path]) => path).join(', ')}`)
  const running = runtime.filter(([, { hasInstallScript }]) => hasInstallScript === true)
  check(running.length === 0, `dependencies with install scripts: ${running.join(', ')}`)
}

function check(condition, what) {
  if (!condition) throw new Error(`The packed package is wrong: ${what}`)
}
