// `npm run test:faults`: runs the long form of the tests that kill commands and a team's replicas,
// damage the state directory and make its writes fail; `npm test` runs their short form. Prints how
// often each was done.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { installPackages } from './packages.mjs'
import { prepare, root, scrubbedEnvironment } from './prepare.mjs'

installPackages([
  'certbot',
  'faketime',
  'haproxy',
  'lego',
  'openssl',
  'pgbouncer',
  'postgresql',
  'strace',
])
prepare()
const directory = mkdtempSync(join(tmpdir(), 'rootling-faults-'))
const tally = join(directory, 'tally')
const began = Date.now()
const env = { ...scrubbedEnvironment(), ROOTLING_LONG_TESTS: '1', ROOTLING_TALLY: tally }
const vitest = join(root, 'node_modules/vitest/vitest.mjs')
const files = [
  'test/outside/crash',
  'test/outside/faults',
  'test/sites/revocation/kill.long.test.ts',
  'test/acme/kill.long.test.ts',
  'test/replica/faults.long.test.ts',
]
const chosen = process.argv.length > 2 ? process.argv.slice(2) : files
const { status } = spawnSync(process.execPath, [vitest, 'run', ...chosen], {
  cwd: root,
  env,
  stdio: 'inherit',
})
const counts = new Map()
if (existsSync(tally))
  for (const line of readFileSync(tally, 'utf8').trimEnd().split('\n')) {
    const [what, count] = JSON.parse(line)
    counts.set(what, (counts.get(what) ?? 0) + count)
  }
rmSync(directory, { recursive: true, force: true })
for (const [what, count] of counts) console.log(`${String(count).padStart(5)} ${what}`)
const kills = [...counts].filter(([what]) => what.startsWith('kills'))
const sum = kills.reduce((total, [, count]) => total + count, 0)
console.log(`${sum} kills in all, in ${Math.round((Date.now() - began) / 60_000)} minutes`)
process.exit(status ?? 1)
