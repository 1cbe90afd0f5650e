// Packs the package and uses it as a stranger would: installed from the tarball into an empty
// folder, its command run and its library imported.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
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
  const strangers = files.filter(
    (path) => !/^(?:dist\/|README\.md$|LICENSE$|package\.json$|SECURITY\.md$)/.test(path),
  )
  check(strangers.length === 0, `files that do not belong: ${strangers.join(', ')}`)
  check(!files.some((path) => /test/i.test(path)), 'test files are in the package')
  check(!files.some((path) => /compiled/.test(path)), 'code compiled for one machine is in it')
  const tarball = join(folder, packed.filename)

  run(bin('publint'), ['run', tarball, '--strict'], { stdio: 'inherit' })
  run(bin('attw'), [tarball, '--profile', 'esm-only'], { stdio: 'inherit' })

  writeFileSync(join(folder, 'package.json'), '{"private":true,"type":"module"}\n')
  run('npm', ['install', '--no-audit', '--no-fund', '--ignore-scripts', tarball])
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
  run(rootling, ['issue', 'localhost', '--json'], { env })
  check(readFileSync(join(folder, 'localhost.pem'), 'utf8').includes('CERTIFICATE'), 'issue')
  check(run(rootling, ['--help']).includes('rootling install'), 'help')
  console.log(
    `The package is sound: ${files.length} files, ${Math.round(packed.unpackedSize / 1024)} KiB.`,
  )
} finally {
  rmSync(folder, { recursive: true, force: true })
}

function check(condition, what) {
  if (!condition) throw new Error(`The packed package is wrong: ${what}`)
}
