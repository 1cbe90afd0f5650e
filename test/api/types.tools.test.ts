import { cp, mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { ensureBuilt, project } from '../helpers/built.ts'
import { npmPackage } from '../helpers/npm-program.ts'
import { scrubbedEnvironment } from '../helpers/scrubbed.ts'
import { run } from '../helpers/subprocess.ts'
import { temporaryDirectory } from '../helpers/temporary.ts'

// The declarations of the package in a stranger's project, which has nothing else but Node's types,
// and where the compiler checks the declarations of packages too.

/** How modules are found, with the setting of `module` that goes with it. */
const node16 = { moduleResolution: 'node16', module: 'node16' }
const nodenext = { moduleResolution: 'nodenext', module: 'nodenext' }
const bundler = { moduleResolution: 'bundler', module: 'preserve' }

/** The versions of TypeScript, with the directory whose node_modules has each; `null`: none has. */
const compilers = [
  { version: '5.4', installed: null, resolutions: [node16, nodenext, bundler] },
  { version: '5.9', installed: null, resolutions: [nodenext] },
  { version: '6.0', installed: join(project, 'scripts/api'), resolutions: [nodenext] },
  { version: '7.0', installed: project, resolutions: [node16, nodenext, bundler] },
]

const { exports } = JSON.parse(await readFile(join(project, 'package.json'), 'utf8')) as {
  readonly exports: Readonly<Record<string, unknown>>
}
const entries = Object.keys(exports)
  .filter((path) => !path.endsWith('.json'))
  .map((path) => path.replace('.', 'rootling'))

let directory: string
beforeAll(async () => {
  directory = await temporaryDirectory()
  ensureBuilt()
  // Links would let the declarations find what the project alone has.
  const installed = join(directory, 'node_modules/rootling')
  for (const part of ['package.json', 'dist'])
    await cp(join(project, part), join(installed, part), { recursive: true })
  for (const name of ['@types/node', 'undici-types', 'vite']) {
    await mkdir(dirname(join(directory, 'node_modules', name)), { recursive: true })
    await symlink(
      join(project, 'node_modules', name),
      join(directory, 'node_modules', name),
      'junction',
    )
  }
  const named = entries.map((entry, index) => [`entry${index}`, entry])
  const imports = named.map(([name, entry]) => `import * as ${name} from '${entry}'`)
  const requires = named.map(([name, entry]) => `import ${name} = require('${entry}')`)
  const use = `export const all = [${named.map(([name]) => name).join(', ')}]\n`
  await writeFile(join(directory, 'use.mts'), [...imports, use].join('\n'))
  await writeFile(join(directory, 'use.cts'), [...requires, use].join('\n'))
})

test('the types are those of the oldest Node that is supported', async () => {
  const file = join(project, 'node_modules/@types/node/package.json')
  expect((JSON.parse(await readFile(file, 'utf8')) as { version: string }).version).toMatch(/^20\./)
})

describe.each(compilers)('TypeScript $version', ({ version, installed, resolutions }) => {
  test.for(resolutions)('finds no error by $moduleResolution', async (resolution, { skip }) => {
    const kept = `rootling-typescript-${version}`
    const found =
      installed === null
        ? await npmPackage(`typescript@${version}`, kept)
        : { directory: installed, missing: null }
    if (found.missing !== null) return skip(found.missing)
    const tsc = join(found.directory, 'node_modules/typescript/bin/tsc')
    const config = join(directory, `tsconfig.${version}.${resolution.module}.json`)
    const compilerOptions = {
      ...resolution,
      target: 'es2022',
      lib: ['es2022'],
      types: ['node'],
      strict: true,
      exactOptionalPropertyTypes: true,
      skipLibCheck: false,
      noEmit: true,
    }
    const files = ['use.mts', 'use.cts']
    await writeFile(config, JSON.stringify({ compilerOptions, files }))
    const said = await run(process.execPath, [tsc, '-p', config], scrubbedEnvironment(directory))
    expect(said).toEqual({ exitCode: 0, stdout: '', stderr: '' })
  })
})
