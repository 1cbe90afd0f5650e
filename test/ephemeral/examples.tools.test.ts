import { cp, writeFile } from 'node:fs/promises'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { scrubbedEnvironment } from '../helpers/scrubbed.ts'
import { run } from '../helpers/subprocess.ts'
import { examples as directory } from './documented.ts'
import { strangersProject } from './stranger.ts'

// Runs each example of examples/testing as a stranger would, with the package installed.

interface Example {
  readonly file: string
  readonly packages: readonly string[]
  /** What Node runs: a file of node_modules, or Node's own options. */
  readonly command: readonly string[]
  /** What the output says where every test passed. */
  readonly passed: RegExp
  readonly config?: Readonly<Record<string, string>>
}

const nodeTest = { command: ['--test'], passed: /(?:#|ℹ) fail 0\n/ }
const chromium = '/usr/bin/chromium'
const examples: readonly Example[] = [
  {
    file: 'vitest.test.mjs',
    packages: ['vitest'],
    command: ['node_modules/vitest/vitest.mjs', 'run'],
    passed: /Tests .*7 passed .*\(7\)/,
  },
  { file: 'node-test.test.mjs', packages: [], ...nodeTest },
  {
    file: 'jest.test.cjs',
    packages: ['jest'],
    command: ['node_modules/jest/bin/jest.js', '--ci'],
    passed: /Tests: +2 passed, 2 total/,
  },
  {
    file: 'mocha.test.mjs',
    packages: ['mocha'],
    command: ['node_modules/mocha/bin/mocha.js', 'mocha.test.mjs'],
    passed: /2 passing/,
  },
  { file: 'cheat-sheet.test.mjs', packages: [], ...nodeTest },
  { file: 'supertest.test.mjs', packages: ['supertest'], ...nodeTest },
  { file: 'undici.test.mjs', packages: ['undici'], ...nodeTest },
  {
    file: 'playwright.spec.mjs',
    packages: ['@playwright/test'],
    command: ['node_modules/@playwright/test/cli.js', 'test', '--workers=1', '--reporter=line'],
    passed: /3 passed/,
    // A browser that Playwright has not downloaded, and root needs no sandbox.
    config: {
      'playwright.config.mjs': `export default {
        timeout: 300_000,
        expect: { timeout: 300_000 },
        use: { launchOptions: { executablePath: '${chromium}', args: ['--no-sandbox'] } },
      }`,
    },
  },
]

describe('the examples', () => {
  test('are all run here', () => {
    expect(readdirSync(directory).toSorted()).toEqual(examples.map(({ file }) => file).toSorted())
  })

  test.for(examples)('$file passes', async (example, { skip }) => {
    const { file, packages, command, passed, config = {} } = example
    if (file.startsWith('playwright') && !existsSync(chromium)) return skip('no Chromium')
    const place = await strangersProject(packages)
    await cp(join(directory, file), join(place, file))
    for (const [name, text] of Object.entries(config)) await writeFile(join(place, name), text)
    const env = scrubbedEnvironment(place, { NO_COLOR: '1' })
    const program = [process.execPath, ...command]
    // Every runner looks for its tests in the current directory.
    const said = await run('sh', ['-c', 'cd "$0" && exec "$@"', place, ...program], env)
    const output = said.stdout + said.stderr
    expect(output).toMatch(passed)
    expect(said.exitCode, output).toBe(0)
  })
})
