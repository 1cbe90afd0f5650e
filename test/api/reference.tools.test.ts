import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import { project } from '../helpers/built.ts'
import { scrubbedEnvironment } from '../helpers/scrubbed.ts'
import { run, type Finished } from '../helpers/subprocess.ts'
import { temporaryDirectory } from '../helpers/temporary.ts'
import { documentedIn } from './documented.ts'

// What `npm run api` makes of a small package, and what it refuses.

const good = `/**
 * Returns what it is for.
 *
 * @example
 * console.log(used()) // 1
 */
export function used(): number {
  return 1
}
`

/** Makes a package with one entry, whose source this is. */
async function packageOf(source: string): Promise<string> {
  const directory = await temporaryDirectory()
  const files = {
    'src/index.ts': source,
    'package.json': JSON.stringify({
      name: 'small',
      exports: { '.': { types: './dist/src/index.d.ts' }, './package.json': './package.json' },
    }),
    'tsconfig.json': await readFile(join(project, 'tsconfig.json'), 'utf8'),
  }
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(directory, name)), { recursive: true })
    await writeFile(join(directory, name), text)
  }
  await symlink(join(project, 'node_modules'), join(directory, 'node_modules'), 'junction')
  return directory
}

function api(directory: string, ...options: readonly string[]): Promise<Finished> {
  const script = join(project, 'scripts/api/api.mjs')
  const env = scrubbedEnvironment(directory)
  return run(process.execPath, [script, directory, ...options], env)
}

test('writes the reference, and finds when it is older than the docstrings', async () => {
  const directory = await packageOf(good)
  expect(await api(directory, '--check')).toMatchObject({
    exitCode: 1,
    stderr: expect.stringContaining('README.md. Run npm run api.') as string,
  })
  expect(await api(directory)).toEqual({ exitCode: 0, stdout: '', stderr: '' })
  const text = await readFile(join(directory, 'docs/api/README.md'), 'utf8')
  expect(text).toContain('Returns what it is for.')
  expect((await api(directory, '--check')).exitCode).toBe(0)
  await writeFile(join(directory, 'src/index.ts'), good.replace('what it is for', 'one'))
  expect(await api(directory, '--check')).toMatchObject({
    exitCode: 1,
    stderr: 'docs/api is not what the docstrings say: README.md. Run npm run api.\n',
  })
})

test('refuses what has no docstring, what is not exported and links that lead nowhere', async () => {
  const directory = await packageOf(`${good}
export const bare = (): number => 1
/** A box. */
export interface Box {
  size: number
}
interface Hidden {}
/** Opens, as {@link nothing} does. */
export const open = (_one: Hidden): void => {}
`)
  const { exitCode, stdout, stderr } = await api(directory)
  expect(exitCode).toBe(1)
  for (const reason of [
    /bare .*any documentation/,
    /Box\.size .*any documentation/,
    /Hidden.* not included in the documentation/,
    /resolve.*nothing/,
  ])
    expect(stdout + stderr).toMatch(reason)
})

test('finds the examples of functions, classes and methods, and where there are none', async () => {
  const directory = await packageOf(`${good}
/** A box. */
export class Box {
  /** How large. */
  size = 1
  /**
   * Opens.
   *
   * @example
   * open()
   *
   * @example
   * \`\`\`sh
   * open
   * \`\`\`
   */
  open(): void {}
  /** Closes. */
  [Symbol.toPrimitive](): void {}
}
`)
  expect(documentedIn(directory)).toEqual([
    { name: 'used', isNeeded: true, examples: ['console.log(used()) // 1\n'] },
    { name: 'Box', isNeeded: true, examples: [] },
    { name: 'Box.open', isNeeded: true, examples: ['open()\n'] },
  ])
})
