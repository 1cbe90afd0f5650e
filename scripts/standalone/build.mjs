// `npm run build:standalone`: writes Rootling as one executable file, in Node's format for that
// (https://nodejs.org/docs/latest-v24.x/api/single-executable-applications.html).
//   --target linux-arm64   for another processor or system; without it, for this one
//   --out DIRECTORY        instead of build/standalone
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { createRequire, isBuiltin } from 'node:module'
import { tmpdir } from 'node:os'
import { basename, join, relative } from 'node:path'
import { parseArgs } from 'node:util'
import { inject } from 'postject'
import { rolldown } from 'rolldown'
import { prepare, root } from '../prepare.mjs'
import { thirdPartyNotice } from '../third-party.mjs'
import { nodeOf, nodeVersion, ownTarget } from './node.mjs'

/**
 * The options of Node for every command. The daemon is started with this one by Node's own command
 * line, where there is one (`nodeFlags` of src/daemon/garbage.ts); an executable has no such line.
 */
const nodeFlags = ['--max-semi-space-size=4']

/** The commands whose functions are compiled ahead; of the others' parts, only the beginning is. */
const commonCommands = [
  ['issue', 'localhost', '127.0.0.1', '::1'],
  ['issue', 'localhost', '127.0.0.1', '::1'],
  ['list'],
]

const { values } = parseArgs({
  options: { target: { type: 'string', default: ownTarget }, out: { type: 'string' } },
})
prepare()
const out = values.out ?? join(root, 'build/standalone')
mkdirSync(out, { recursive: true })
console.log(await buildStandalone(values.target, out))

/**
 * Writes the executable for a target, such as `linux-x64`, and beside it the licences of all that it
 * holds. Two calls write the same octets. Returns its path.
 */
async function buildStandalone(target, directory) {
  const node = nodeOf(target)
  // What packs the parts must be of the same release as what reads them.
  const packer = target === ownTarget ? node : nodeOf(ownTarget)
  const work = mkdtempSync(join(tmpdir(), 'rootling-standalone-'))
  try {
    const parts = join(work, 'parts')
    mkdirSync(parts)
    const modules = await writeParts(parts)
    const hasCode = target === ownTarget
    if (hasCode) compileAhead(node.program, parts)
    const blob = pack(packer.program, work, { hasCode, target })
    const name = `rootling-${target}${target.startsWith('win32') ? '.exe' : ''}`
    const program = join(directory, name)
    rmSync(program, { force: true })
    copyFileSync(node.program, program)
    chmodSync(program, 0o755)
    await injectInto(program, blob, target)
    writeFileSync(join(directory, `${name}.LICENSES.txt`), licences(modules, node))
    return program
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

/**
 * Writes each bundle of the commands, and one of pg, as a script whose value is a function of the
 * names that a module of CommonJS has. Returns the modules that the one of pg holds.
 */
async function writeParts(directory) {
  const cli = join(root, 'dist/cli')
  for (const folder of [cli, join(cli, 'chunks')])
    for (const name of readdirSync(folder).filter((file) => file.endsWith('.cjs')))
      writePart(join(directory, name), readFileSync(join(folder, name), 'utf8'))
  const bundle = await rolldown({
    input: createRequire(import.meta.url).resolve('pg'),
    platform: 'node',
    // A faster form in C, which nothing asks for, and one for a cloud.
    external: ['pg-native', 'pg-cloudflare'],
    logLevel: 'warn',
  })
  const { output } = await bundle.generate({ format: 'cjs', codeSplitting: false })
  await bundle.close()
  writePart(join(directory, 'pg.cjs'), output[0].code)
  checkRequired(directory)
  return output[0].moduleIds
}

/** Throws where a part requires what the executable has not. pg requires the last two only when asked. */
function checkRequired(directory) {
  const parts = readdirSync(directory)
  const known = new Set([...parts.map((name) => `./${name}`), 'pg', 'pg-native', 'pg-cloudflare'])
  for (const part of parts)
    for (const [, id] of readFileSync(join(directory, part), 'latin1').matchAll(
      /\brequire\("([^"]+)"\)/g,
    ))
      if (!known.has(id.replace(/^\.\/chunks\//, './')) && !isBuiltin(id))
        throw new Error(`${part} requires ${id}, which the executable has not.`)
}

function writePart(path, source) {
  const text = source.replace(/^#!.*/, '').replace(/\n\/\/# sourceMappingURL=.*\s*$/, '')
  // The loader reads parts as Latin-1, in which V8 keeps them.
  const ascii = text.replace(
    /[^\0-\x7f]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
  if (existsSync(path)) throw new Error(`Two bundles are named ${basename(path)}.`)
  writeFileSync(path, `(function (exports, require, module, __filename, __dirname) {${ascii}\n})`)
}

/** Has V8 compile the parts, and the functions that common commands call. */
function compileAhead(program, parts) {
  const home = mkdtempSync(join(tmpdir(), 'rootling-standalone-home-'))
  const train = join(root, 'scripts/standalone/train.cjs')
  try {
    for (const command of [[], ...commonCommands])
      execFileSync(program, ['--no-rehash-snapshot', ...nodeFlags, train, parts, ...command], {
        cwd: home,
        env: { ...systemVariables(), HOME: home, ROOTLING_HOME: join(home, 'state') },
        stdio: ['ignore', 'ignore', 'pipe'],
      })
  } finally {
    rmSync(home, { recursive: true, force: true })
  }
}

/** The variables without which programs do not run; others could change what is compiled. */
function systemVariables() {
  if (process.platform !== 'win32') return { PATH: process.env.PATH }
  const { NODE_OPTIONS: _flags, ...variables } = process.env
  return variables
}

/** Makes what is put into the program. Returns it. */
function pack(program, work, { hasCode, target }) {
  const loader = readFileSync(join(root, 'scripts/standalone/loader.cjs'), 'utf8')
  writeFileSync(join(work, 'loader.cjs'), loader.replaceAll('HAS_CODE', String(hasCode)))
  const parts = readdirSync(join(work, 'parts')).toSorted()
  const config = {
    // Names without a directory, since that of the loader is kept in the executable.
    main: 'loader.cjs',
    output: 'blob',
    disableExperimentalSEAWarning: true,
    useCodeCache: false,
    // OPENSSL_CONF could load code, and SIGUSR1 would open the debugger.
    execArgv: [
      ...nodeFlags,
      '--disable-sigusr1',
      `--openssl-config=${target.startsWith('win') ? 'NUL' : '/dev/null'}`,
    ],
    // NODE_OPTIONS is for Node, which nobody sees here.
    execArgvExtension: 'none',
    assets: {
      ...Object.fromEntries(parts.map((name) => [name, join('parts', name)])),
      ...ownFiles(target),
    },
  }
  writeFileSync(join(work, 'config.json'), JSON.stringify(config))
  execFileSync(program, ['--experimental-sea-config', 'config.json'], {
    cwd: work,
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  return readFileSync(join(work, 'blob'))
}

/**
 * Returns the other files in the executable by their names there: the add-on that locks files, where
 * it can be loaded without a file that has a name (src/files/packed.ts), and what `dist/share` has.
 */
function ownFiles(target) {
  const addon = join(
    root,
    `node_modules/fs-native-extensions/prebuilds/${target}/fs-native-extensions.node`,
  )
  const share = join(root, 'dist/share')
  const shared = existsSync(share)
    ? readdirSync(share, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name))
        .toSorted()
    : []
  return {
    'lock.node': addon,
    ...Object.fromEntries(
      shared.map((path) => [`share/${relative(share, path).replaceAll('\\', '/')}`, path]),
    ),
  }
}

async function injectInto(program, blob, target) {
  const isMac = target.startsWith('darwin')
  if (isMac) execFileSync('codesign', ['--remove-signature', program])
  await inject(program, 'NODE_SEA_BLOB', blob, {
    sentinelFuse: 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2',
    ...(isMac ? { machoSegmentName: 'NODE_SEA' } : {}),
  })
  // macOS runs no program without a signature; this one is of nobody.
  if (isMac) execFileSync('codesign', ['--sign', '-', program])
}

/** Returns the licences of Rootling, of the packages in it, and of Node and what that holds. */
function licences(modules, node) {
  return [
    readFileSync(join(root, 'LICENSE'), 'utf8'),
    readFileSync(join(root, 'dist/THIRD-PARTY.txt'), 'utf8'),
    thirdPartyNotice([
      ...modules,
      createRequire(import.meta.url).resolve('fs-native-extensions/binding'),
    ]),
    `This executable holds Node.js ${nodeVersion}.\n\n${readFileSync(node.licence, 'utf8')}`,
  ].join(`\n${'='.repeat(78)}\n\n`)
}
