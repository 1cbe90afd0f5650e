// What the tests and the benchmarks drive, as Debian's packages; installed where apt and root are.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'

/** A file that each package brings. */
const files = {
  'ca-certificates': '/usr/sbin/update-ca-certificates',
  'ca-certificates-java': '/etc/ca-certificates/update.d/jks-keystore',
  caddy: '/usr/bin/caddy',
  certbot: '/usr/bin/certbot',
  chromium: '/usr/bin/chromium',
  curl: '/usr/bin/curl',
  'default-jdk-headless': '/usr/bin/javac',
  'firefox-esr': '/usr/bin/firefox-esr',
  git: '/usr/bin/git',
  'gnutls-bin': '/usr/bin/certtool',
  'golang-go': '/usr/bin/go',
  iproute2: '/usr/sbin/ip',
  lego: '/usr/bin/lego',
  'libnss3-tools': '/usr/bin/certutil',
  mkcert: '/usr/bin/mkcert',
  'nginx-light': '/usr/sbin/nginx',
  openssl: '/usr/bin/openssl',
  'p11-kit': '/usr/bin/trust',
  pebble: '/usr/bin/pebble',
  python3: '/usr/bin/python3',
  strace: '/usr/bin/strace',
  sudo: '/usr/bin/sudo',
  wget: '/usr/bin/wget',
}

const peers = ['caddy', 'iproute2', 'pebble']
export const packagesOfTests = Object.keys(files).filter((name) => !peers.includes(name))
export const packagesOfBenchmarks = [
  ...peers,
  'ca-certificates',
  'ca-certificates-java',
  'default-jdk-headless',
  'libnss3-tools',
  'mkcert',
  'openssl',
  'python3',
]

/** Installs what is missing; says so where it cannot. */
export function installPackages(packages) {
  const missing = packages.filter((name) => !existsSync(files[name]))
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
