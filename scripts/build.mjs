// Builds dist: the library file by file (tsc), and the commands as bundles that load only what a
// command needs (rolldown). The bundles are CommonJS, which starts faster than ESM.
import { execFileSync } from 'node:child_process'
import { chmodSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { rolldown } from 'rolldown'
import { thirdPartyNotice } from './third-party.mjs'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const require = createRequire(import.meta.url)
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))

rmSync(join(root, 'dist'), { recursive: true, force: true })
const tsc = join(dirname(require.resolve('typescript/package.json')), 'bin', 'tsc')
execFileSync(process.execPath, [tsc, '-p', root], { stdio: 'inherit', cwd: root })

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

const bundle = await rolldown({
  input: {
    rootling: join(root, 'src/cli/rootling.ts'),
    'rootling-mkcert': join(root, 'src/cli/mkcert/rootling-mkcert.ts'),
  },
  platform: 'node',
  plugins: [plainHelp, builtins],
  experimental: { nativeMagicString: true },
  // A warning about slow plugins would fail the build, although it depends on the machine.
  checks: { bundlerTimings: false },
  // A native addon stays outside the bundles, because it looks for its prebuilt binary beside its
  // own files.
  external: ['fs-native-extensions'],
  // What the package names as its main file loads its parts in a way that no bundler follows.
  resolve: { alias: { 'jsonc-parser': require.resolve('jsonc-parser/lib/esm/main.js') } },
  transform: {
    // yargs resolves configuration files with import.meta.resolve, which CommonJS does not have;
    // Rootling has no such files.
    define: { VERSION: JSON.stringify(version), 'import.meta.resolve': 'undefined' },
    target: 'node20',
  },
  onLog(level, log, print) {
    if (level === 'warn') throw new Error(`The build warns: ${log.message}`)
    print(level, log)
  },
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
  // One file for what every command loads, and one for what issuing, listing and renewing, and the
  // trust stores each add: Node takes half a millisecond to find, read and wrap each file.
  codeSplitting: {
    groups: [
      { name: 'main', test: /src[\\/]cli[\\/]main\.ts$/, priority: 4 },
      { name: 'issue', test: /src[\\/]cli[\\/]commands[\\/]issue\.ts$/, priority: 3 },
      { name: 'list', test: /src[\\/]cli[\\/](?:commands[\\/]list|renewals)\.ts$/, priority: 2 },
      { name: 'stores', test: /src[\\/]cli[\\/](?:trust-world|store-.*)\.ts$/, priority: 1 },
    ],
  },
})
await bundle.close()
for (const { code = '', fileName } of output)
  if (/\bimport\(/.test(code)) throw new Error(`${fileName} imports a module as only ESM can.`)
const modules = output.flatMap(({ moduleIds = [] }) => moduleIds)
writeFileSync(join(root, 'dist/THIRD-PARTY.txt'), thirdPartyNotice(modules))
for (const name of ['rootling', 'rootling-mkcert'])
  chmodSync(join(root, `dist/cli/${name}.cjs`), 0o755)
