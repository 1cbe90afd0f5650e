// Builds dist: the declarations of types file by file (tsc), and the commands and the library as
// bundles that load only what is needed (rolldown). The commands are CommonJS, which starts faster
// than ESM; the library is both.
import { execFileSync } from 'node:child_process'
import { chmodSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { rolldown } from 'rolldown'
import { writeShare } from './share/share.mjs'
import { thirdPartyNotice } from './third-party.mjs'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const require = createRequire(import.meta.url)
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))

rmSync(join(root, 'dist'), { recursive: true, force: true })
const tsc = join(dirname(require.resolve('typescript/package.json')), 'bin', 'tsc')
execFileSync(process.execPath, [tsc, '-p', root, '--emitDeclarationOnly'], {
  stdio: 'inherit',
  cwd: root,
})

/**
 * Replaces string-width and strip-ansi, with which yargs lays out its help: their tables of emoji
 * and wide letters take ten milliseconds to compile. Rootling's help is plain English text, where
 * each letter takes one column.
 */
const plainHelp = {
  name: 'plain-help',
  resolveId: (id) => (id === 'string-width' || id === 'strip-ansi' ? `\0${id}` : null),
  load: (id) => {
    if (id === '\0string-width') return 'export default (text) => text.length'
    return id === '\0strip-ansi' ? 'export default (text) => text' : null
  },
}

/**
 * Replaces default imports of Node's modules by calls of `getBuiltinModule`, which returns the
 * module itself. rolldown would turn `import os from 'node:os'` into a copy of the module with a
 * getter for each member, which costs every command half a millisecond.
 */
const defaultImport = /^import (\w+) from (['"]node:\w+['"]);?$/gm
const builtins = {
  name: 'builtins',
  transform: {
    filter: { code: defaultImport },
    handler(code, _id, { magicString }) {
      for (const { 0: line, 1: name, 2: module, index } of code.matchAll(defaultImport))
        magicString.overwrite(
          index,
          index + line.length,
          `const ${name} = globalThis.process.getBuiltinModule(${module});`,
        )
      return { code: magicString }
    },
  },
}

/**
 * Replaces imports of functions of these modules of Node by functions that load the module when they
 * are first called: each takes milliseconds to load, and most commands call none of them.
 */
const loadedLate = new Set([
  'child_process',
  'fs/promises',
  'http',
  'http2',
  'https',
  'net',
  'timers/promises',
  'tls',
  'tty',
])
const functionImport = /^import \{([^}]*)\} from '(node:([\w/]+))'$/gm
const lateBuiltins = {
  name: 'late-builtins',
  transform: {
    filter: { code: functionImport },
    handler(code, _id, { magicString }) {
      for (const { 0: line, 1: list, 2: module, 3: name, index } of code.matchAll(functionImport)) {
        const words = list.split(',').map((word) => word.trim())
        const names = words.filter((word) => word !== '' && !word.startsWith('type '))
        if (!loadedLate.has(name) || !names.every((word) => /^[a-z]\w*(?: as \w+)?$/.test(word)))
          continue
        const all = names.map((word) => word.split(' as '))
        // A constant is read once, and a class is more than a call.
        if (!all.every(([own]) => typeof require(module)[own] === 'function')) continue
        const late = all.map(
          ([own, local = own]) =>
            `const ${local} = (...given) => globalThis.process.getBuiltinModule('${module}').${own}(...given);`,
        )
        magicString.overwrite(index, index + line.length, late.join(' '))
      }
      return { code: magicString }
    },
  },
}

/**
 * Writes what is not ASCII as escapes. V8 keeps a source that is ASCII in half the memory, and Node
 * reads it faster: a command takes an eighth less of what it takes beyond starting Node. Such
 * characters occur in comments, strings, templates and regular expressions only. The source maps
 * keep their lines; columns behind an escape are too small.
 */
const asciiOnly = {
  name: 'ascii-only',
  generateBundle(_options, output) {
    const escape = (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`
    for (const chunk of Object.values(output))
      if (chunk.type === 'chunk') chunk.code = chunk.code.replace(/[^\0-\x7f]/g, escape)
  },
}

const onLog = (level, log, print) => {
  if (level === 'warn') throw new Error(`The build warns: ${log.message}`)
  print(level, log)
}

const bundle = await rolldown({
  input: {
    rootling: join(root, 'src/cli/rootling.ts'),
    'rootling-mkcert': join(root, 'src/cli/mkcert/rootling-mkcert.ts'),
  },
  platform: 'node',
  plugins: [plainHelp, builtins, lateBuiltins, asciiOnly],
  experimental: { nativeMagicString: true },
  // A warning about slow plugins would fail the build, although it depends on the machine.
  checks: { bundlerTimings: false },
  // A native addon stays outside the bundles, because it looks for its prebuilt binary beside its
  // own files. pg stays outside too: two of its packages ship no licence text to copy, and only the
  // team's server loads it.
  external: ['fs-native-extensions', 'pg'],
  // What the package names as its main file loads its parts in a way that no bundler follows.
  resolve: { alias: { 'jsonc-parser': require.resolve('jsonc-parser/lib/esm/main.js') } },
  transform: {
    // yargs resolves configuration files with import.meta.resolve, which CommonJS does not have;
    // Rootling has no such files.
    define: { VERSION: JSON.stringify(version), 'import.meta.resolve': 'undefined' },
    target: 'node20',
  },
  onLog,
})
const { output } = await bundle.write({
  dir: join(root, 'dist/cli'),
  format: 'cjs',
  entryFileNames: '[name].cjs',
  chunkFileNames: 'chunks/[name].cjs',
  banner: (chunk) => (chunk.isEntry ? '#!/usr/bin/env node' : ''),
  // The main chunk is compiled ahead by vm.Script, in which `import()` of a Node module would throw.
  dynamicImportInCjs: false,
  sourcemap: true,
  comments: { legal: true, annotation: false, jsdoc: false },
  // One file for what every command loads, and one for what issuing, listing and renewing, the
  // trust stores, and so on each add: Node takes half a millisecond to find, read and wrap each file.
  codeSplitting: {
    groups: [
      { name: 'main', test: /src[\\/]cli[\\/]main\.ts$/, priority: 10 },
      { name: 'issue', test: /src[\\/]cli[\\/]commands[\\/]issue\.ts$/, priority: 9 },
      { name: 'list', test: /src[\\/]cli[\\/](?:commands[\\/]list|renewals)\.ts$/, priority: 8 },
      { name: 'stores', test: /src[\\/]cli[\\/](?:trust-world|store-.*)\.ts$/, priority: 7 },
      { name: 'run', test: /src[\\/]cli[\\/]commands[\\/](?:run|env)\.ts$/, priority: 6 },
      { name: 'hosts', test: /src[\\/]hosts[\\/]/, priority: 5 },
      // Many commands need this part of the next two groups alone.
      { name: 'asn1-reader', test: /src[\\/]x509[\\/]asn1-reader\.ts$/, priority: 4 },
      { name: 'create', test: /src[\\/]authority[\\/]create\.ts$/, priority: 3 },
      { name: 'kept', test: /src[\\/]certificates[\\/]if-needed\.ts$/, priority: 2 },
      // What the daemon shares with the commands that start it or ask it, without the rest of these.
      {
        name: 'launch',
        test: /src[\\/](?:daemon[\\/]launch|server[\\/]listen|acme[\\/](?:problems|validation[\\/]addresses)|sites[\\/]own-addresses|proxy[\\/]kept-routes)\.ts$/,
        priority: 2,
      },
      {
        name: 'up',
        test: /src[\\/](?:cli[\\/]commands[\\/]up|project[\\/]steps[\\/](?:ignore|authority|permit|certificates|proxy))\.ts$/,
        priority: 1,
      },
    ],
  },
})
await bundle.close()
for (const { code = '', fileName } of output)
  if (/\bimport\(/.test(code)) throw new Error(`${fileName} imports a module as only ESM can.`)

/**
 * Replaces imports of Node's modules in the ESM of an entry by calls of `getBuiltinModule`. For an
 * import, Node makes a module with every member, which loads parts of node:crypto that nobody asked
 * for.
 */
const directBuiltins = {
  name: 'direct-builtins',
  generateBundle(_options, output) {
    const line = /^import \{([^}]*)\} from "(node:[\w/]+)";$/gm
    const direct = (_line, list, module) =>
      `const {${list.replaceAll(' as ', ': ')}} = globalThis.process.getBuiltinModule("${module}");`
    for (const chunk of Object.values(output))
      if (chunk.type === 'chunk') chunk.code = chunk.code.replace(line, direct)
  },
}

/**
 * The entries of the library, by the directory of dist that each is built into, with the source of
 * each. `package.json` exports both forms of an entry: `index.cjs` is for loaders whose `require`
 * takes no ESM, such as Jest's; the `require` of Node takes `index.js`.
 */
const entries = { library: 'src/index.ts', vite: 'src/vite/index.ts' }

const forms = [
  { format: 'esm', extension: 'js' },
  { format: 'cjs', extension: 'cjs' },
]

/** Settings of every bundle of an entry, and of what it loads late. */
const ofEntries = ({ format }, ...plugins) => ({
  platform: 'node',
  plugins: [
    ...plugins,
    builtins,
    lateBuiltins,
    ...(format === 'esm' ? [directBuiltins] : []),
    asciiOnly,
  ],
  experimental: { nativeMagicString: true },
  checks: { bundlerTimings: false },
  // node-forge, which few programs load, would be in the package twice.
  external: ['fs-native-extensions', 'node-forge', 'pg'],
  resolve: { alias: { 'jsonc-parser': require.resolve('jsonc-parser/lib/esm/main.js') } },
  transform: { target: 'node20' },
  // Constants in DER, where nothing uses them.
  treeshake: { manualPureFunctions: ['objectIdentifier', 'sequence'] },
  onLog,
})

const writtenAs = ({ format, extension, codeSplitting = true }) => ({
  codeSplitting,
  dir: join(root, 'dist'),
  format,
  // In CommonJS, a default export alone would be the module itself, which it is not in ESM.
  exports: 'named',
  entryFileNames: `[name].${extension}`,
  chunkFileNames: `chunks/[name].${extension}`,
  dynamicImportInCjs: false,
  sourcemap: true,
  comments: { legal: true, annotation: false, jsdoc: false },
})

/**
 * Builds each entry as one file, which loads in half the time of separate ones; and in `dist/chunks`,
 * with shared chunks, all that the entries load late. A module that is in both is there twice.
 */
async function bundleEntries(form) {
  const { extension } = form
  const errors = join(root, 'src/errors.ts')
  const late = new Map([[errors, 'chunks/errors']])
  const built = Object.entries(entries).map(([name, source]) => [join(root, source), name])
  const outside = {
    name: 'outside',
    async resolveId(specifier, importer, { kind }) {
      if (importer === undefined) return null
      const resolved = await this.resolve(specifier, importer, { kind, skipSelf: true })
      if (resolved === null || resolved.external) return resolved
      const { id } = resolved
      const entry = new Map(built).get(id)
      if (entry !== undefined) return { id: `../${entry}/index.${extension}`, external: true }
      // One class of errors for all entries.
      if (kind !== 'dynamic-import' && id !== errors) return null
      // Every program needs it that does not set ROOTLING_HOME.
      if (specifier === 'env-paths') return null
      const own = id.slice(root.length + 1).replace(/^src[\\/]|\.ts$/g, '')
      const name = specifier.startsWith('.') ? own : specifier
      const chunk = late.get(id) ?? `chunks/${name.replaceAll(/[\\/]/g, '-')}`
      late.set(id, chunk)
      return { id: `../${chunk}.${extension}`, external: true }
    },
  }
  const output = []
  for (const [source, name] of built) {
    const input = { [`${name}/index`]: source }
    output.push(...(await build(input, { ...form, codeSplitting: false }, outside)))
  }
  const parts = Object.fromEntries([...late].map(([id, chunk]) => [chunk, id]))
  return [...output, ...(await build(parts, form))]
}

async function build(input, form, ...plugins) {
  const built = await rolldown({ input, ...ofEntries(form, ...plugins) })
  const { output } = await built.write(writtenAs(form))
  await built.close()
  return output
}

/**
 * Builds the entry `rootling/test`: as one file, which loads in half the time of the separate ones,
 * and the parts that it loads late.
 */
async function bundleEphemeral({ format, extension }) {
  const outside = {
    name: 'outside',
    resolveId(id, importer, { kind }) {
      // One class of errors for all parts, and for the other entries.
      if (importer && id.endsWith('/errors.ts'))
        return { id: `../chunks/errors.${extension}`, external: true }
      const late = kind === 'dynamic-import'
      return late ? { id: id.replace(/\.ts$/, `.${extension}`), external: true } : null
    },
  }
  const parts = [
    'ephemeral/child-environment',
    'ephemeral/process-trust',
    'ephemeral/temporary-files',
  ]
  const files = []
  for (const names of [['ephemeral/index'], parts]) {
    const entry = await rolldown({
      input: names.map((name) => join(root, `src/${name}.ts`)),
      platform: 'node',
      plugins: [outside, ...(format === 'esm' ? [directBuiltins] : [])],
      checks: { bundlerTimings: false },
      transform: { target: 'node20' },
      onLog,
    })
    const { output: written } = await entry.write({
      dir: join(root, 'dist/ephemeral'),
      format,
      entryFileNames: `[name].${extension}`,
      chunkFileNames: `[name].${extension}`,
      dynamicImportInCjs: false,
      sourcemap: true,
      comments: { legal: true, annotation: false, jsdoc: false },
    })
    files.push(...written)
    await entry.close()
  }
  return files
}

for (const form of forms)
  output.push(...(await bundleEntries(form)), ...(await bundleEphemeral(form)))
for (const [name, source] of Object.entries({ ...entries, ephemeral: 'src/ephemeral/index.ts' }))
  writeFileSync(join(root, `dist/${name}/index.d.cts`), commonJsTypes(source))

/**
 * Returns the types of an entry's `index.cjs`: those of the ESM, which TypeScript would refuse to
 * `require`.
 */
function commonJsTypes(source) {
  const text = readFileSync(join(root, source), 'utf8')
  const lists = [...text.matchAll(/^export (type )?\{([^}]*)\}/gm)]
  const names = (isType) =>
    lists
      .filter(([, type]) => (type !== undefined) === isType)
      .flatMap(([, , list]) => list.match(/\w+(?=\s*(?:,|$))/g))
  const classes = names(false).filter((name) => /^[A-Z]/.test(name))
  return [
    `import type * as entry from '../${source.replace(/\.ts$/, '.js')}' with { 'resolution-mode': 'import' }`,
    ...names(false).map((name) =>
      name === 'default'
        ? 'declare const byDefault: typeof entry.default\nexport default byDefault'
        : `export declare const ${name}: typeof entry.${name}`,
    ),
    ...[...classes, ...names(true)].map((name) => `export type ${name} = entry.${name}`),
    '',
  ].join('\n')
}

const modules = output.flatMap(({ moduleIds = [] }) => moduleIds)
writeFileSync(join(root, 'dist/THIRD-PARTY.txt'), thirdPartyNotice(modules))
for (const name of ['rootling', 'rootling-mkcert'])
  chmodSync(join(root, `dist/cli/${name}.cjs`), 0o755)

await writeShare(root, version)
