// `npm run security-lab`: shows every forgery to every verifier of this machine, and writes what they
// say to docs/security-lab.md and into SECURITY.md. `npm test` asks about fewer.
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { installPackages, packagesOfTests } from './packages.mjs'
import { prepare, root, scrubbedEnvironment } from './prepare.mjs'

installPackages(packagesOfTests)
prepare()
const env = { ...scrubbedEnvironment(), ROOTLING_LONG_TESTS: '1', ROOTLING_SECURITY_LAB: '1' }
const vitest = join(root, 'node_modules/vitest/vitest.mjs')
// One after the other: each puts its columns into the same file.
for (const file of ['thief.tools.test.ts', 'thief-browsers.machine.test.ts']) {
  const path = `test/outside/adversary/${file}`
  const { status } = spawnSync(process.execPath, [vitest, 'run', path], {
    cwd: root,
    env,
    stdio: 'inherit',
  })
  if (status !== 0) process.exit(status ?? 1)
}
