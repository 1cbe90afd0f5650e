import { writeFile } from 'node:fs/promises'
import { builtinModules } from 'node:module'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { strangersProject } from '../ephemeral/stranger.ts'
import { project } from '../helpers/built.ts'
import { namespaceUnavailable, openNamespace, type Namespace } from '../helpers/namespace.ts'
import { documentedIn, typescript } from './documented.ts'
import { run } from '../helpers/subprocess.ts'
import { scrubbedEnvironment } from '../helpers/scrubbed.ts'

// Runs the examples of the docstrings, as a stranger would who copies them. They run in a namespace,
// where all ports are free, and where what changes trust stores changes copies.

const items = documentedIn(project)
const examples = items.flatMap(({ name, examples }) =>
  examples.map((code, index) => ({
    name: index === 0 ? name : `${name}, ${index + 1}`,
    code,
    file: `${name.replaceAll(/\W+/g, '-')}-${index}`,
  })),
)

/** Runs an example, and ends what it leaves open a moment later: mostly a server. */
const runner = `
await import(process.argv[2])
setTimeout(() => process.exit(), 200)
`

test('every function, class and method has an example', () => {
  const without = items.filter(({ isNeeded, examples }) => isNeeded && examples.length === 0)
  expect(without.map(({ name }) => name)).toEqual([])
  expect(examples.length).toBeGreaterThan(8)
})

const unavailable = namespaceUnavailable()

describe.skipIf(unavailable !== null)(`the examples (${unavailable ?? 'in a namespace'})`, () => {
  let directory: string
  let namespace: Namespace
  let errors: string
  beforeAll(async () => {
    directory = await strangersProject(importedPackages())
    await writeFile(join(directory, 'run.mjs'), runner)
    for (const { file, code } of examples) await writeFile(join(directory, `${file}.mts`), code)
    const config = {
      compilerOptions: {
        module: 'node20',
        // TypeScript turns \`await using\` into what Node 20 knows.
        target: 'es2022',
        lib: ['es2023', 'esnext.disposable'],
        types: ['node'],
        typeRoots: [join(project, 'node_modules/@types')],
        strict: true,
        skipLibCheck: true,
      },
      include: ['*.mts'],
    }
    await writeFile(join(directory, 'tsconfig.json'), JSON.stringify(config))
    const env = scrubbedEnvironment(directory)
    errors = (await run(process.execPath, [typescript, '-p', directory], env)).stdout
    namespace = await openNamespace({ ownLoopback: true })
  })
  afterAll(() => namespace.close())

  test('have no error that TypeScript finds', () => {
    expect(errors).toBe('')
  })

  test.for(examples)('$name', async ({ file, code }) => {
    const script = [join(directory, 'run.mjs'), join(directory, `${file}.mjs`)]
    const env = { ROOTLING_HOME: join(directory, `home-${file}`), NO_COLOR: '1' }
    const said = await namespace.run(process.execPath, script, { env })
    expect(said).toMatchObject({ exitCode: 0, stderr: '' })
    const promised = [...code.matchAll(/^ *console\.log\(.*\) \/\/ (.*)$/gm)].map(
      ([, line]) => line,
    )
    if (promised.length > 0) expect(said.stdout.trimEnd().split('\n')).toEqual(promised)
  })
})

/** Returns the packages of npm that examples import, beside this one. */
function importedPackages(): string[] {
  const imports = examples.flatMap(({ code }) => [
    ...code.matchAll(/ from '((?:@[^/']+\/)?[^/']+)/g),
  ])
  const names = new Set(imports.map(([, name = '']) => name))
  return [...names].filter(
    (name) => name !== 'rootling' && !/^node:|^\./.test(name) && !builtinModules.includes(name),
  )
}
