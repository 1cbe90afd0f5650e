// What the tests and the benchmarks drive, as Debian's packages; installed where apt and root are.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'

/** Debian's packages by a file that each brings. */
export const packagesOfTests = {
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

/** The same for the benchmarks. */
export const packagesOfBenchmarks = {
  'ca-certificates': '/usr/sbin/update-ca-certificates',
  'ca-certificates-java': '/etc/ca-certificates/update.d/jks-keystore',
  caddy: '/usr/bin/caddy',
  'default-jdk-headless': '/usr/bin/javac',
  iproute2: '/usr/sbin/ip',
  'libnss3-tools': '/usr/bin/certutil',
  mkcert: '/usr/bin/mkcert',
  openssl: '/usr/bin/openssl',
  pebble: '/usr/bin/pebble',
  python3: '/usr/bin/python3',
}

/** Installs what is missing of a table; says so where it cannot. */
export function installPackages(packages) {
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
    console.log('Some packages could not be installed; what needs them says so.')
}
