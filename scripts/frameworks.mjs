// `npm run test:frameworks`: runs the examples of all frameworks; `npm test` runs the fast ones.
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { installPackages } from './packages.mjs'
import { prepare, root, scrubbedEnvironment } from './prepare.mjs'

installPackages(['chromium', 'libnss3-tools'])
prepare()
const vitest = join(root, 'node_modules/vitest/vitest.mjs')
const { status } = spawnSync(
  process.execPath,
  // One at a time: each starts a server, its bundler and a browser.
  [vitest, 'run', '--no-file-parallelism', 'test/frameworks', ...process.argv.slice(2)],
  { cwd: root, env: scrubbedEnvironment(), stdio: 'inherit' },
)
process.exit(status ?? 1)
