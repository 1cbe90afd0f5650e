// `npm test` on a fresh clone: installs what the tests need and runs them all. What this machine
// cannot run is skipped by name with the reason.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { prepare, root, scrubbedEnvironment } from './prepare.mjs'

/** Debian's packages by a file that each brings. */
const packages = {
  'ca-certificates': '/usr/sbin/update-ca-certificates',
  'ca-certificates-java': '/etc/ca-certificates/update.d/jks-keystore',
  certbot: '/usr/bin/certbot',
  chromium: '/usr/bin/chromium',
  curl: '/usr/bin/curl',
  'default-jdk-headless': '/usr/bin/javac',
  'firefox-esr': '/usr/bin/firefox-esr',
  git: '/usr/bin/git',
  'gnutls-bin': '/usr/bin/certtool',
  'golang-go': '/usr/bin/go',
  lego: '/usr/bin/lego',
  'libnss3-tools': '/usr/bin/certutil',
  mkcert: '/usr/bin/mkcert',
  'nginx-light': '/usr/sbin/nginx',
  openssl: '/usr/bin/openssl',
  'p11-kit': '/usr/bin/trust',
  python3: '/usr/bin/python3',
  strace: '/usr/bin/strace',
  sudo: '/usr/bin/sudo',
  wget: '/usr/bin/wget',
}

installPackages()
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

function installPackages() {
  const missing = Object.keys(packages).filter((name) => !existsSync(packages[name]))
  if (missing.length === 0) return
  const sudo = process.getuid?.() === 0 ? [] : ['sudo', '-n']
  const mayInstall =
    existsSync('/usr/bin/apt-get') &&
    (sudo.length === 0 || spawnSync('sudo', ['-n', 'true']).status === 0)
  if (!mayInstall) {
    console.log(`Not installed, and not installable here: ${missing.join(', ')}`)
    return
  }
  const apt = (...args) => {
    const command = [...sudo, 'env', 'DEBIAN_FRONTEND=noninteractive', 'apt-get', '-qq', ...args]
    return spawnSync(command[0], command.slice(1), { stdio: ['ignore', 'ignore', 'inherit'] })
      .status
  }
  console.log(`Installing ${missing.join(', ')}`)
  apt('update')
  if (apt('install', '-y', '--no-install-recommends', ...missing) !== 0)
    console.log('Some packages could not be installed; the tests that need them say so.')
}
