// `npm test` on a fresh clone: installs what the tests need and runs them all, but for the slow
// frameworks. What this machine cannot run is skipped by name with the reason.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { installPackages, installWindowsNodes, packagesOfTests } from './packages.mjs'
import { prepare, root, scrubbedEnvironment } from './prepare.mjs'

installPackages(packagesOfTests)
prepare()
installWindowsNodes(root)
const results = mkdtempSync(join(tmpdir(), 'rootling-results-'))
const outcomes = join(results, 'outcomes.json')
const reporters = ['--reporter=default', `--reporter=${join(root, 'scripts/outcomes.ts')}`]
const given = process.argv.slice(2)
const chosen = given.some((word) => word.startsWith('--project')) ? [] : ['--project=!frameworks']
const vitest = spawnSync(
  process.execPath,
  [join(root, 'node_modules/vitest/vitest.mjs'), 'run', ...reporters, ...chosen, ...given],
  { cwd: root, env: { ...scrubbedEnvironment(), ROOTLING_OUTCOMES: outcomes }, stdio: 'inherit' },
)
let code = vitest.status ?? 1
if (existsSync(outcomes)) {
  const { lines, failed } = JSON.parse(readFileSync(outcomes, 'utf8'))
  console.log(lines.join('\n'))
  if (failed > 0) code ||= 1
}
rmSync(results, { recursive: true, force: true })
process.exit(code)
