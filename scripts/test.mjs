// `npm test` on a fresh clone: installs what the tests need and runs them all. What this machine
// cannot run is skipped by name with the reason.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { installPackages, packagesOfTests } from './packages.mjs'
import { prepare, root, scrubbedEnvironment } from './prepare.mjs'

installPackages(packagesOfTests)
prepare()
const results = mkdtempSync(join(tmpdir(), 'rootling-results-'))
const report = join(results, 'report.json')
const vitest = spawnSync(
  process.execPath,
  [
    join(root, 'node_modules/vitest/vitest.mjs'),
    'run',
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${report}`,
    ...process.argv.slice(2),
  ],
  { cwd: root, env: scrubbedEnvironment(), stdio: 'inherit' },
)
let code = vitest.status ?? 1
if (existsSync(report)) {
  const { testResults, numPassedTests, numFailedTests, numPendingTests } = JSON.parse(
    readFileSync(report, 'utf8'),
  )
  const skipped = testResults.flatMap(({ assertionResults }) =>
    assertionResults.filter(({ status }) => status === 'skipped' || status === 'pending'),
  )
  for (const { fullName } of skipped) console.log(`skipped: ${fullName}`)
  console.log(`${numPassedTests} passed, ${numFailedTests} failed, ${numPendingTests} skipped`)
  if (numPassedTests === 0) code ||= 1
}
rmSync(results, { recursive: true, force: true })
process.exit(code)
