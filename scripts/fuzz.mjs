// `npm run test:fuzz`: every parser of foreign bytes gets 100,000 inputs, or the number in the
// first argument; `npm test` gives fewer. On two cores the parsers take a quarter of an hour, and
// the tests that ask OpenSSL about each input take hours.
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { prepare, root, scrubbedEnvironment } from './prepare.mjs'

prepare()
const env = { ...scrubbedEnvironment(), ROOTLING_FUZZ_RUNS: process.argv[2] ?? '100000' }
const vitest = join(root, 'node_modules/vitest/vitest.mjs')
const files = [
  'test/outside/fuzz',
  'test/x509/asn1-reader.test.ts',
  'test/x509/private-key.tools.test.ts',
  'test/x509/request-fuzz.long.test.ts',
]
const { status } = spawnSync(process.execPath, [vitest, 'run', ...files], {
  cwd: root,
  env,
  stdio: 'inherit',
})
process.exit(status ?? 1)
