import { mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { build } from 'rolldown'
import { expect, onTestFinished, test, vi } from 'vitest'
import { scrubbedEnvironment } from '../../helpers/scrubbed.ts'
import { run } from '../../helpers/subprocess.ts'

/** `npm run test:fuzz` gives 100,000 inputs to each parser. */
const runs = Number(process.env['ROOTLING_FUZZ_RUNS'] ?? 1000)
const seed = Number(process.env['ROOTLING_FUZZ_SEED'] ?? 20_261_127)
const timeout = 900_000 + runs * 2_000
vi.setConfig({ testTimeout: timeout + 10_000 })

interface Outcome {
  readonly name: string
  readonly inputs: number
  readonly read: number
  readonly milliseconds: number
  readonly megabytes: number
  /** Megabytes of them, at most, that Node has lost. */
  readonly lost: number
  readonly fault: unknown
}

async function bundle(): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), 'rootling-fuzz-child-'))
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }))
  const file = join(directory, 'fuzz.mjs')
  await build({
    input: join(import.meta.dirname, 'fuzz-child.ts'),
    platform: 'node',
    external: [
      /^node:/,
      'fs-native-extensions',
      /^node-forge/,
      'env-paths',
      'jose',
      'execa',
      'fast-check',
    ],
    // As scripts/build.mjs does: its other form loads its files by names that no bundler sees.
    resolve: { alias: { 'jsonc-parser': resolve('node_modules/jsonc-parser/lib/esm/main.js') } },
    output: { file, format: 'esm', codeSplitting: false },
    logLevel: 'silent',
  })
  symlinkSync(resolve('node_modules'), join(directory, 'node_modules'))
  return file
}

test('every parser of foreign bytes gives a value or an error of its own, in little memory', async () => {
  const file = await bundle()
  // Half a core each; the memory of V8 is bounded, so that what grows without end fails.
  const lanes = [0, 1].map((lane) => {
    const args = ['--expose-gc', '--max-old-space-size=256', file, runs, seed, 2, lane].map(String)
    return run(process.execPath, args, scrubbedEnvironment(tmpdir()), { timeout })
  })
  const ended = await Promise.all(lanes)
  const outcomes = ended
    .flatMap(({ stdout }) => stdout.split('\n').filter((line) => line !== ''))
    .map((line) => JSON.parse(line) as Outcome)
  if (runs > 2000) console.table(outcomes, ['name', 'inputs', 'read', 'milliseconds', 'megabytes'])
  expect(outcomes.filter(({ fault }) => fault !== null)).toEqual([])
  expect(ended.map(({ exitCode, stderr }) => [exitCode, stderr])).toEqual([
    [0, ''],
    [0, ''],
  ])
  expect(outcomes.length).toBeGreaterThan(28)
  // A generator that no parser takes anything of would prove little.
  expect(outcomes.filter(({ read }) => read === 0)).toEqual([])
  expect(outcomes.filter(({ megabytes, lost }) => megabytes > 600 + lost)).toEqual([])
})
