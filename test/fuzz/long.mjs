// The long form of the fuzzing: 100,000 inputs for each parser, or as many as are asked for.
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'

const vitest = join(import.meta.dirname, '../../node_modules/vitest/vitest.mjs')
const env = { ...process.env, ROOTLING_FUZZ_RUNS: process.argv[2] ?? '100000' }
const { status } = spawnSync(process.execPath, [vitest, 'run', 'test/fuzz'], {
  env,
  stdio: 'inherit',
})
process.exit(status ?? 1)
