import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { portSockets, portsUnits } from '../../src/daemon/service/ports-units.ts'
import { codes, type Code } from '../../src/doctor/codes.ts'
import { namespaceUnavailable } from '../helpers/namespace.ts'
import { addOldAuthority } from '../helpers/old-authority.ts'
import { notInstalled } from '../outside/e2e/client.ts'
import { openDoctorWorld, type DoctorWorld } from './doctor-world.ts'

// Every code of doctor is provoked on a machine on which it finds nothing before and after.

const programs = ['update-ca-certificates', 'certutil', 'keytool', 'mkcert', 'openssl', 'chromium']
const missing = await Promise.all(programs.map(notInstalled))
const obstacle = namespaceUnavailable() ?? missing.find((reason) => reason !== null) ?? null
const skipNote = obstacle === null ? '' : ` [skipped: ${obstacle}]`

interface Row {
  readonly code: Code
  /** What is done to the machine. */
  readonly title: string
  /** All codes that doctor must find, in their order; default: the one. */
  readonly codes?: readonly Code[]
  readonly env?: Readonly<Record<string, string>>
  /** The arguments of doctor. */
  readonly args?: readonly string[]
  /** A shell script, or more. */
  readonly provoke?: string | ((world: DoctorWorld) => Promise<unknown>)
  readonly undo?: string | ((world: DoctorWorld) => Promise<unknown>)
  /** A text that the sentence holds. */
  readonly says?: string
  /** Whether `--fix --yes` mends it. */
  readonly fixed?: true
}

const bundle = '/etc/ssl/certs/ca-certificates.crt'
const anchors = '/usr/local/share/ca-certificates'
/** Takes mkcert’s roots out again, also those that Debian’s hook put into Java’s keystore. */
const withoutMkcert = `
  rm -rf /etc/mk ${anchors}/mkcert*; update-ca-certificates --fresh
  for alias in $(keytool -list -cacerts -storepass changeit 2>/dev/null | grep -o '^[^,]*mkcert[^,]*'); do
    keytool -delete -cacerts -storepass changeit -alias "$alias" 2>/dev/null
  done`
const reinstall = async ({ rootling }: DoctorWorld): Promise<unknown> =>
  rootling.must(['install', '--yes'])
/** Puts a program named bun where root’s programs are, since only those count for root. */
const stubBun = `mkdir /etc/bun; printf '#!/bin/sh\\n' > /etc/bun/bun; chmod 755 /etc/bun/bun
  mount --bind /etc/bun /usr/local/sbin`
const other = { ROOTLING_HOME: '/etc/other/state' }

/** Puts a root of this subject where another tool would put it. */
const plant = (subject: string, extensions = '', days = 30): string => `
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days ${days} \
    -subj '${subject}' -addext basicConstraints=critical,CA:TRUE ${extensions} \
    -keyout /etc/planted.key -out ${anchors}/planted.crt 2>/dev/null`
const unplant = `rm -f ${anchors}/planted.crt /etc/planted.key`

/** Writes the units of `daemon install --ports` for some ports. */
async function writeUnits(
  { namespace, state }: DoctorWorld,
  names: readonly string[],
  program = process.execPath,
): Promise<void> {
  const command = { program, args: ['/etc/passwd', 'daemon', 'run'], home: state }
  const sockets = portSockets.filter(({ name }) => names.includes(name))
  for (const { name, contents } of portsUnits({ command, uid: 0, sockets, ipv6: false }))
    await namespace.writeFile(`/etc/systemd/system/${name}`, contents)
}
const withoutUnits = 'rm -f /etc/systemd/system/rootling*'

const machineRows: readonly Row[] = [
  // Stores.
  {
    code: 'store-missing-root',
    title: 'the root is taken out of the system store',
    provoke: `rm ${anchors}/rootling-*; update-ca-certificates --fresh --hooksdir /nowhere`,
    fixed: true,
  },
  {
    code: 'java-missing-root',
    title: 'the root is taken out of Java’s keystore',
    provoke: `
      for alias in $(keytool -list -cacerts -storepass changeit 2>/dev/null | grep -o '^[^,]*rootling-[^,]*'); do
        keytool -delete -cacerts -storepass changeit -alias "$alias" 2>/dev/null
      done`,
    fixed: true,
  },
  {
    code: 'profile-missing-root',
    title: 'the root is taken out of Chromium’s database',
    provoke: `
      database=sql:$HOME/.local/share/pki/nssdb
      certutil -D -d $database -n "$(certutil -L -d $database | grep -o 'rootling-[0-9a-f]*')"`,
    fixed: true,
  },
  {
    code: 'profile-missing-root',
    title: 'Firefox Developer Edition has made a profile of its own',
    provoke: `
      profile=$HOME/.mozilla/firefox/x1.dev-edition-default; mkdir -p $profile
      printf '[Profile0]\\nName=dev\\nIsRelative=1\\nPath=x1.dev-edition-default\\n' > $HOME/.mozilla/firefox/profiles.ini
      certutil -N --empty-password -d sql:$profile`,
    undo: 'rm -rf $HOME/.mozilla',
    says: 'dev-edition',
  },
  {
    code: 'profile-missing-root',
    title: 'a snap of Chromium has a database of its own',
    provoke: `
      directory=$HOME/snap/chromium/current/.pki/nssdb; mkdir -p $directory
      certutil -N --empty-password -d sql:$directory`,
    undo: 'rm -rf $HOME/snap',
    says: 'snap',
  },
  {
    code: 'profile-missing-root',
    title: 'a flatpak of Brave has a database of its own',
    provoke: `
      directory=$HOME/.var/app/com.brave.Browser/.pki/nssdb; mkdir -p $directory
      certutil -N --empty-password -d sql:$directory`,
    undo: 'rm -rf $HOME/.var',
    says: 'com.brave.Browser',
  },
  {
    code: 'browser-database-missing',
    title: 'a flatpak has never opened a page',
    provoke: 'mkdir -p $HOME/.var/app/com.brave.Browser',
    undo: 'rm -rf $HOME/.var',
    says: 'Brave',
  },
  {
    code: 'nss-tools-missing',
    title: 'certutil is not there',
    provoke: 'mount --bind /dev/null /usr/bin/certutil',
    undo: 'umount /usr/bin/certutil',
  },
  {
    code: 'not-installed',
    title: 'no store was ever changed',
    codes: ['not-installed', 'root-mismatch', 'stale-root'],
    env: other,
    provoke: ({ certificateFor }) => certificateFor(['localhost'], '{}', '/etc/other/state'),
    undo: 'rm -rf /etc/other',
  },
  {
    code: 'outdated-issuer',
    title: 'an older version made the authority',
    codes: ['not-installed', 'root-mismatch', 'outdated-issuer', 'stale-root'],
    env: other,
    provoke: async ({ sh }) => {
      const directory = mkdtempSync(join(tmpdir(), 'rootling-old-'))
      await addOldAuthority({ path: join(directory, 'state'), owner: null })
      await sh(`mkdir /etc/other; cp -r ${directory}/state /etc/other/state`)
      rmSync(directory, { recursive: true })
    },
    undo: 'rm -rf /etc/other',
  },
  {
    code: 'root-mismatch',
    title: 'the authority was made anew',
    codes: ['not-installed', 'root-mismatch', 'stale-root'],
    env: other,
    provoke: ({ rootling }) =>
      rootling.must(['issue', 'localhost', '--out-dir', '/etc/other'], { env: other }),
    undo: 'rm -rf /etc/other',
  },
  {
    code: 'root-mismatch',
    title: 'mkcert has made its authority anew',
    codes: ['root-mismatch', 'stale-root'],
    env: { CAROOT: '/etc/mk' },
    provoke: `
      export CAROOT=/etc/mk TRUST_STORES=system; mkcert -install
      rm /etc/mk/*; TRUST_STORES=none mkcert -cert-file /etc/mk/a -key-file /etc/mk/b localhost`,
    undo: withoutMkcert,
    says: 'mkcert',
  },
  {
    code: 'stale-root',
    title: 'mkcert’s files are deleted, and its root is still trusted',
    env: { CAROOT: '/etc/mk' },
    provoke: 'CAROOT=/etc/mk TRUST_STORES=system mkcert -install; rm -rf /etc/mk',
    undo: withoutMkcert,
    says: 'mkcert',
  },
  ...(
    [
      ['devcert', '/CN=devcert'],
      ['Caddy', '/CN=Caddy Local Authority - 2026 ECC Root'],
      ['portless', '/CN=portless Local CA'],
    ] as const
  ).map(([name, subject]): Row => ({
    code: 'stale-root',
    title: `${name}’s files are deleted, and its root is still trusted`,
    provoke: plant(subject),
    undo: unplant,
    says: name,
  })),
  {
    code: 'stale-root',
    title: 'a certificate of .NET is still trusted that .NET has no more',
    provoke: plant('/CN=localhost', '-addext 1.3.6.1.4.1.311.84.1.1=DER:02'),
    undo: unplant,
    says: '.NET',
  },
  {
    code: 'stale-root',
    title: 'a root of an authority that is gone is still trusted',
    provoke: async ({ rootling, sh }) => {
      await rootling.must(['install', '--yes', '--stores', 'nss'], { env: other })
      await sh('mv /etc/other /etc/kept')
    },
    undo: async ({ rootling, sh }) => {
      await sh('mv /etc/kept /etc/other')
      await rootling.must(['uninstall', '--yes', '--delete-ca'], { env: other })
    },
    says: 'no authority of yours',
  },
  {
    code: 'root-of-another-user',
    title: 'the system’s stores hold the root of another user',
    provoke: async ({ rootling, sh }) => {
      const ada = { ROOTLING_HOME: '/etc/ada/.local/share/rootling' }
      await rootling.must(['install', '--yes', '--stores', 'system'], { env: ada })
      await sh("echo 'ada:x:1234:1234::/etc/ada:/bin/sh' >> /etc/passwd")
    },
    undo: async ({ rootling, sh }) => {
      const ada = { ROOTLING_HOME: '/etc/ada/.local/share/rootling' }
      await sh('sed -i /^ada:/d /etc/passwd')
      await rootling.must(['uninstall', '--yes', '--delete-ca'], { env: ada })
    },
    says: 'another user of this machine has it',
  },
  {
    code: 'stale-root',
    title: 'the system’s stores hold a root, and no other user has it',
    provoke: async ({ rootling, sh }) => {
      await rootling.must(['install', '--yes', '--stores', 'system'], { env: other })
      await sh("echo 'ada:x:1234:1234::/etc/ada:/bin/sh' >> /etc/passwd")
    },
    undo: async ({ rootling, sh }) => {
      await sh('sed -i /^ada:/d /etc/passwd')
      await rootling.must(['uninstall', '--yes', '--delete-ca'], { env: other })
    },
    says: 'no authority of yours',
  },
  {
    code: 'unconstrained-root',
    title: 'devcert’s root is in use',
    provoke: `${plant('/CN=devcert')}
      directory=$HOME/.config/devcert/certificate-authority; mkdir -p $directory
      cp ${anchors}/planted.crt $directory/certificate.cert`,
    undo: `${unplant}; rm -rf $HOME/.config/devcert`,
    says: 'impersonate',
  },
  {
    code: 'unconstrained-root',
    title: 'devcert’s root has limits that are not critical',
    provoke: `${plant('/CN=devcert', "-addext 'nameConstraints=permitted;DNS:test,permitted;IP:127.0.0.0/255.0.0.0'")}
      directory=$HOME/.config/devcert/certificate-authority; mkdir -p $directory
      cp ${anchors}/planted.crt $directory/certificate.cert`,
    undo: `${unplant}; rm -rf $HOME/.config/devcert`,
    says: 'impersonate',
  },
  {
    code: 'restart-browser',
    title: 'Chromium runs since before the root was installed',
    provoke: async (world) => {
      await world.rootling.must(['uninstall', '--yes'])
      const args = ['--headless', '--no-sandbox', '--disable-gpu', '--remote-debugging-port=9333']
      world.namespace.spawn('chromium', [...args, 'about:blank'])
      await world.sh('until pgrep -o chromium >/dev/null; do sleep 0.2; done; sleep 3')
      await reinstall(world)
    },
    undo: 'pkill -KILL chromium; sleep 1; rm -rf $HOME/.config/chromium $HOME/.cache/chromium',
  },

  // Environment.
  {
    code: 'variable-names-missing-file',
    title: 'a variable names a file that is gone',
    env: { SSL_CERT_FILE: '/etc/gone.pem' },
    says: 'SSL_CERT_FILE names /etc/gone.pem, which is not there',
  },
  {
    code: 'variable-replaces-roots',
    title: 'a variable names a bundle without the root',
    env: { REQUESTS_CA_BUNDLE: '/etc/few.pem' },
    provoke: `head -60 ${bundle} > /etc/few.pem`,
    undo: 'rm /etc/few.pem',
    says: 'lacks the root',
  },
  {
    code: 'variable-replaces-roots',
    title: 'a variable names the root alone',
    env: { CURL_CA_BUNDLE: '/etc/root.pem' },
    provoke: 'cp $STATE/scopes/local/root.pem /etc/root.pem',
    undo: 'rm /etc/root.pem',
    says: 'no public site',
  },
  {
    code: 'java-options-replace-roots',
    title: 'JAVA_TOOL_OPTIONS names a keystore without the root',
    env: { JAVA_TOOL_OPTIONS: '-Djavax.net.ssl.trustStore=/etc/other.jks' },
    provoke: `
      openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 \
        -subj '/CN=Other' -keyout /etc/planted.key -out /etc/planted.pem 2>/dev/null
      keytool -importcert -noprompt -storetype JKS -keystore /etc/other.jks -storepass changeit \
        -file /etc/planted.pem 2>/dev/null`,
    undo: 'rm -f /etc/other.jks /etc/planted.*',
    says: 'it lacks the root',
  },
  {
    code: 'variable-lacks-root',
    title: 'NODE_EXTRA_CA_CERTS names roots of others alone',
    env: { NODE_EXTRA_CA_CERTS: '/etc/few.pem' },
    provoke: `head -60 ${bundle} > /etc/few.pem`,
    undo: 'rm /etc/few.pem',
    says: 'lacks the root',
  },
  ...(
    [
      ['.npmrc', 'cafile=/etc/few.pem'],
      ['.config/pip/pip.conf', '[global]\ncert = /etc/few.pem'],
      ['.gitconfig', '[http]\n\tsslCAInfo = /etc/few.pem'],
      ['.curlrc', 'cacert = /etc/few.pem'],
      ['.cargo/config.toml', '[http]\ncainfo = "/etc/few.pem"'],
    ] as const
  ).map(([file, text]): Row => ({
    code: 'config-replaces-roots',
    title: `~/${file} names a bundle without the root`,
    provoke: async ({ namespace, sh }) => {
      await sh(`head -60 ${bundle} > /etc/few.pem`)
      await namespace.writeFile(`${namespace.home}/${file}`, `${text}\n`)
    },
    undo: `rm $HOME/${file} /etc/few.pem`,
    says: file,
  })),
  {
    code: 'verification-off',
    title: 'Node is told to verify nothing',
    env: { NODE_TLS_REJECT_UNAUTHORIZED: '0' },
    says: 'any certificate',
  },
  ...(
    [
      ['.npmrc', 'strict-ssl=false'],
      ['.gitconfig', '[http "https://git.test"]\n\tsslVerify = false'],
      ['.curlrc', 'insecure'],
      ['.wgetrc', 'check_certificate = off'],
    ] as const
  ).map(([file, text]): Row => ({
    code: 'verification-off',
    title: `~/${file} switches verification off`,
    provoke: ({ namespace }) => namespace.writeFile(`${namespace.home}/${file}`, `${text}\n`),
    undo: `rm $HOME/${file}`,
    says: file,
  })),
  {
    code: 'proxy-in-the-way',
    title: 'a proxy is set for local names too',
    env: { HTTPS_PROXY: 'http://proxy.example:3128', NO_PROXY: 'intranet.example' },
  },
  {
    code: 'clock-wrong',
    title: 'the authority was made later than the clock says',
    codes: ['clock-wrong', 'not-installed', 'root-mismatch', 'stale-root'],
    env: other,
    provoke: ({ certificateFor }) =>
      certificateFor(
        ['localhost'],
        '{ now: () => new Date(Date.now() + 30 * 864e5) }',
        '/etc/other/state',
      ),
    undo: 'rm -rf /etc/other',
  },
  {
    code: 'made-with-sudo',
    title: 'another user owns the record',
    provoke: 'chown 1234 $STATE/certificates.jsonl',
    undo: 'chown 0 $STATE/certificates.jsonl',
  },
  {
    code: 'loose-key',
    title: 'others can read the key of the authority',
    provoke: 'chmod 644 $STATE/scopes/local/intermediate-key.pem',
    fixed: true,
  },
  {
    code: 'damaged-state',
    title: 'the record is damaged',
    provoke: 'cp $STATE/certificates.jsonl /etc/kept; sed -i 1s/^/x/ $STATE/certificates.jsonl',
    undo: 'cp /etc/kept $STATE/certificates.jsonl',
  },
  {
    code: 'container-without-root',
    title: 'this is a container without an authority',
    codes: ['container-without-root', 'stale-root'],
    env: { container: 'docker', ROOTLING_HOME: '/etc/none' },
  },
  {
    code: 'other-side-of-wsl',
    title: 'this is WSL, and its Windows cannot be reached',
    env: { WSL_DISTRO_NAME: 'Debian' },
  },

  // Certificates.
  {
    code: 'expired',
    title: 'a certificate has ended',
    provoke: ({ certificateFor }) =>
      certificateFor(['old.test'], '{ days: 1, now: () => new Date(Date.now() - 30 * 864e5) }'),
    fixed: true,
  },
  {
    code: 'due',
    title: 'a certificate is due for renewal',
    provoke: ({ certificateFor }) =>
      certificateFor(['due.test'], '{ days: 30, now: () => new Date(Date.now() - 25 * 864e5) }'),
    fixed: true,
  },
  {
    code: 'issuer-ends-soon',
    title: 'the authority ends in two months',
    codes: ['not-installed', 'root-mismatch', 'expired', 'issuer-ends-soon', 'stale-root'],
    env: other,
    provoke: ({ certificateFor }) =>
      certificateFor(
        ['localhost'],
        '{ now: () => new Date(Date.now() - 3590 * 864e5) }',
        '/etc/other/state',
      ),
    undo: 'rm -rf /etc/other',
  },
  {
    code: 'name-missing',
    title: 'the machine has another address than its certificate names',
    provoke: async ({ rootling, sh }) => {
      await sh(
        'ip link add lan0 type veth peer name lan1; ip link set lan1 up; ip addr add 192.168.5.1/24 dev lan0; ip link set lan0 up',
      )
      await rootling.must(['issue', 'localhost', '192.168.77.77', '--out-dir', '/etc/lan'])
    },
    undo: async ({ rootling, sh }) => {
      await sh('ip link del lan0; rm -rf /etc/lan')
      await rootling.must(['forget', '--missing']).catch(() => undefined)
    },
    says: '192.168.5.1',
  },
  {
    code: 'wildcard-too-wide',
    title: 'a certificate is for a star directly below a top-level name',
    provoke: ({ rootling }) => rootling.must(['issue', '*.test', '--out-dir', '/etc/wide']),
    undo: 'rm -rf /etc/wide',
  },
  {
    code: 'chain-incomplete',
    title: 'the file of a certificate has lost its intermediate',
    provoke: async ({ rootling, sh }) => {
      await rootling.must(['issue', 'cut.test', '--out-dir', '/etc/cut'])
      await sh(
        'openssl x509 -in /etc/cut/cut.test.pem -out /etc/cut/leaf; cat /etc/cut/leaf > /etc/cut/cut.test.pem',
      )
    },
    undo: 'rm -rf /etc/cut',
  },
  {
    code: 'ip-leaf-in-bun',
    title: 'Bun is here, and a certificate names an address',
    provoke: async ({ rootling, sh }) => {
      await sh(stubBun)
      await rootling.must(['issue', 'localhost', '127.0.0.1', '--out-dir', '/etc/ip'])
    },
    undo: 'umount /usr/local/sbin; rm -rf /etc/ip /etc/bun',
  },
  {
    code: 'daemon-down',
    title: 'the daemon was killed',
    provoke: async ({ rootling, sh }) => {
      await rootling.must(['daemon', 'start'])
      await sh(
        'pid=$(grep -o \'"pid":[0-9]*\' $STATE/daemon-run.json | cut -d: -f2); kill -9 $pid; sleep 1',
      )
    },
    undo: 'rm $STATE/daemon-run.json',
  },
  {
    code: 'ports-unit-stale',
    title: 'the Node of the service is gone',
    codes: ['port-not-listened', 'ports-unit-stale'],
    provoke: (world) => writeUnits(world, ['rootling-https'], '/gone/node'),
    undo: withoutUnits,
    says: '/etc/systemd/system/rootling.service starts /gone/node, which is not there.',
  },
  {
    code: 'port-not-listened',
    title: 'the socket unit was stopped',
    provoke: (world) => writeUnits(world, ['rootling-https']),
    undo: withoutUnits,
    says: 'with port 443, and systemd does not listen there',
  },
  {
    code: 'port-held',
    title: 'another server has the port',
    provoke: async (world) => {
      await writeUnits(world, ['rootling-https'])
      await world.start('openssl', ['s_server', '-accept', '127.0.0.1:443', '-nocert'], 443)
    },
    undo: withoutUnits,
    says: 'openssl (process ',
  },
  {
    code: 'daemon-without-port',
    title: 'the daemon was started by hand',
    provoke: async (world) => {
      await writeUnits(world, ['rootling-https'])
      // Both stand for systemd: one listens, and one says that the unit does.
      await world.start('openssl', ['s_server', '-accept', '127.0.0.1:443', '-nocert'], 443)
      await world.sh(`printf '#!/bin/sh\\n' > /etc/systemctl; chmod 755 /etc/systemctl
        mount --bind /etc/systemctl /usr/bin/systemctl`)
      await world.rootling.must(['daemon', 'start'])
    },
    undo: async (world) => {
      await world.rootling.must(['daemon', 'stop'])
      await world.sh(`umount /usr/bin/systemctl; ${withoutUnits}; rm /etc/systemctl`)
    },
    says: 'started by hand',
  },
  {
    code: 'hosts-drift',
    title: 'the hosts file leads the name of a certificate elsewhere',
    provoke: async ({ rootling, namespace }) => {
      await rootling.must(['issue', 'shop.test', '--out-dir', '/etc/shop'])
      await namespace.addHost('shop.test', '203.0.113.7')
    },
    undo: 'rm -rf /etc/shop; sed -i /shop.test/d /etc/hosts',
    says: '203.0.113.7',
  },
  {
    code: 'hsts-on-localhost',
    title: 'Firefox remembers HSTS for localhost',
    provoke: `
      profile=$HOME/.mozilla/firefox/x1.default; mkdir -p $profile
      printf '[Profile0]\\nName=a\\nIsRelative=1\\nPath=x1.default\\n' > $HOME/.mozilla/firefox/profiles.ini
      printf 'localhost:HSTS\\t0\\t20000\\t4102444800000,1,0\\n' > $profile/SiteSecurityServiceState.txt`,
    codes: ['browser-database-missing', 'hsts-on-localhost'],
    undo: 'rm -rf $HOME/.mozilla',
    says: 'only https',
  },
]

const hstsServer = `
  const [cert, key] = process.argv.slice(1).map((file) => require('fs').readFileSync(file))
  require('https').createServer({ cert, key }, (_, r) => {
    r.setHeader('strict-transport-security', 'max-age=31536000')
    r.end('hello')
  }).listen(8443)`

const [cert, key] = ['/etc/app/app.localhost.pem', '/etc/app/app.localhost-key.pem']
const app = 'https://app.localhost:8443'
/** A key and a certificate that signs itself. */
const selfSigned = (subject: string): string => `
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj '${subject}' \
    -addext subjectAltName=DNS:app.localhost -keyout /etc/self.key -out /etc/self.pem 2>/dev/null`

const serverRows: readonly Row[] = [
  {
    code: 'client-refuses',
    title: 'Node is given no root',
    args: [app],
    provoke: ({ serve }) => serve(cert, key, 8443),
    says: 'that Node on this machine would refuse',
  },
  {
    code: 'not-listening',
    title: 'no server was started',
    args: [app],
    says: 'Nothing listens on app.localhost:8443',
  },
  {
    code: 'plain-http',
    title: 'the server has no TLS',
    args: [app],
    provoke: ({ start }) =>
      start(
        process.execPath,
        [
          '-e',
          "for (const h of ['::1', '127.0.0.1']) require('http').createServer((_, r) => r.end()).listen(8443, h)",
        ],
        8443,
      ),
  },
  {
    code: 'no-handshake',
    title: 'the server hangs up',
    args: [app],
    provoke: ({ start }) =>
      start(
        process.execPath,
        [
          '-e',
          "for (const h of ['::1', '127.0.0.1']) require('net').createServer((s) => s.end('220 smtp\\r\\n')).listen(8443, h)",
        ],
        8443,
      ),
  },
  {
    code: 'ipv6-not-listening',
    title: 'the server listens on 127.0.0.1 alone',
    args: [app],
    provoke: ({ serve }) => serve(cert, key, 8443, ['127.0.0.1']),
  },
  {
    code: 'resolves-elsewhere',
    title: 'the hosts file leads the name to another machine',
    args: ['https://far.test:8443'],
    codes: ['resolves-elsewhere', 'not-listening'],
    provoke: ({ namespace }) => namespace.addHost('far.test', '203.0.113.7'),
    undo: 'sed -i /far.test/d /etc/hosts',
    says: '203.0.113.7',
  },
  {
    code: 'served-by-another',
    title: 'a dev server signs its certificate itself',
    args: [app],
    provoke: async ({ serve, sh }) => {
      await sh(selfSigned('/CN=app.localhost'))
      await serve('/etc/self.pem', '/etc/self.key', 8443)
    },
    undo: 'rm /etc/self.*',
    says: 'itself',
  },
  {
    code: 'proxy-in-the-way',
    title: 'a program opens the connection',
    args: [app],
    provoke: async ({ serve, sh }) => {
      await sh(`openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 \
        -subj /CN=mitmproxy -keyout /etc/mitm.key -out /etc/mitm.pem 2>/dev/null
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=a \
        -CA /etc/mitm.pem -CAkey /etc/mitm.key -addext subjectAltName=DNS:app.localhost \
        -addext basicConstraints=CA:FALSE -addext extendedKeyUsage=serverAuth \
        -addext keyUsage=digitalSignature -keyout /etc/self.key -out /etc/self.pem 2>/dev/null`)
      await serve('/etc/self.pem', '/etc/self.key', 8443)
    },
    undo: 'rm /etc/self.* /etc/mitm.*',
    says: 'mitmproxy',
  },
  {
    code: 'served-is-not-on-disk',
    title: 'nginx was not reloaded after a renewal',
    args: [app],
    provoke: async ({ rootling, namespace, start }) => {
      await namespace.writeFile(
        '/etc/nginx-doctor.conf',
        `pid /tmp/nginx-doctor.pid; error_log /dev/null; events {}
        http { access_log off; server { listen 127.0.0.1:8443 ssl; listen [::1]:8443 ssl;
          ssl_certificate ${cert}; ssl_certificate_key ${key}; } }\n`,
      )
      await start('nginx', ['-c', '/etc/nginx-doctor.conf', '-g', 'daemon off;'], 8443)
      await rootling.must(['renew', cert])
    },
    undo: 'rm /etc/nginx-doctor.conf',
    says: cert,
  },
  {
    code: 'chain-incomplete',
    title: 'openssl s_server sends the leaf alone',
    args: [app],
    provoke: async ({ sh, start }) => {
      await sh(`openssl x509 -in ${cert} -out /etc/leaf.pem`)
      await start(
        'openssl',
        ['s_server', '-accept', '8443', '-cert', '/etc/leaf.pem', '-key', key, '-www'],
        8443,
      )
    },
    undo: 'rm /etc/leaf.pem',
    says: 'app.localhost:8443',
  },
  {
    code: 'name-missing',
    title: 'the certificate of the server is for another name',
    args: ['https://other.localhost:8443'],
    provoke: ({ serve }) => serve(cert, key, 8443),
    says: 'other.localhost',
  },
  {
    code: 'expired',
    title: 'the server shows a certificate that has ended',
    args: [app],
    provoke: async ({ serve, sh, certificateFor }) => {
      const options = '{ days: 1, now: () => new Date(Date.now() - 30 * 864e5) }'
      const old = await certificateFor(['app.localhost', 'old.localhost'], options)
      await sh(`mkdir /etc/old; mv ${old.cert} ${old.key} /etc/old`)
      await serve('/etc/old/cert.pem', '/etc/old/key.pem', 8443)
    },
    undo: 'rm -rf /etc/old',
    says: 'app.localhost:8443',
  },
  {
    code: 'outside-constraints',
    title: 'an authority signs what it may not',
    args: [app],
    codes: ['served-by-another', 'outside-constraints'],
    provoke: async ({ serve, sh }) => {
      await sh(`mkdir /etc/narrow; cd /etc/narrow
        new='openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30'
        ca='-addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign'
        $new -subj /CN=Narrow $ca -addext nameConstraints=critical,permitted\\;DNS:narrow.test \
          -keyout ca.key -out ca.pem 2>/dev/null
        $new -subj /CN=a -CA ca.pem -CAkey ca.key -addext subjectAltName=DNS:app.localhost \
          -addext basicConstraints=CA:FALSE -addext extendedKeyUsage=serverAuth \
          -addext keyUsage=digitalSignature -keyout key.pem -out leaf.pem 2>/dev/null
        cat leaf.pem ca.pem > chain.pem`)
      await serve('/etc/narrow/chain.pem', '/etc/narrow/key.pem', 8443)
    },
    undo: 'rm -rf /etc/narrow',
    says: 'app.localhost is outside',
  },
  {
    code: 'certificate-refused',
    title: 'browsers do not know the kind of key',
    args: [app],
    provoke: async ({ serve, rootling }) => {
      await rootling.must([
        'issue',
        'app.localhost',
        '--key-type',
        'ed25519',
        '--out-dir',
        '/etc/ed',
      ])
      await serve('/etc/ed/app.localhost.pem', '/etc/ed/app.localhost-key.pem', 8443)
    },
    undo: 'rm -rf /etc/ed',
    says: 'Ed25519',
  },
  {
    code: 'ip-leaf-in-bun',
    title: 'the server shows an address to Bun',
    args: ['https://127.0.0.1:8443'],
    provoke: async ({ serve, rootling, sh }) => {
      await sh(stubBun)
      await rootling.must(['issue', '127.0.0.1', '--out-dir', '/etc/ip'])
      await serve('/etc/ip/127.0.0.1.pem', '/etc/ip/127.0.0.1-key.pem', 8443)
    },
    undo: 'umount /usr/local/sbin; rm -rf /etc/ip /etc/bun',
  },
]
const hstsRow: Row = {
  code: 'hsts-on-localhost',
  title: 'Chromium has got HSTS from a server of the past',
  args: ['https://shop.test:8443'],
  codes: ['not-listening', 'hsts-on-localhost'],
  provoke: async ({ rootling, namespace, sh, start, stopServers }) => {
    await namespace.addHost('shop.test', '127.0.0.1')
    await rootling.must(['issue', 'shop.test', '--out-dir', '/etc/hsts'])
    const files = ['/etc/hsts/shop.test.pem', '/etc/hsts/shop.test-key.pem']
    await start(process.execPath, ['-e', hstsServer, ...files], 8443)
    await sh(`timeout 60 chromium --headless --no-sandbox --disable-gpu \\
      --user-data-dir=$HOME/.config/chromium --virtual-time-budget=20000 \\
      --dump-dom https://shop.test:8443/ | grep hello`)
    await stopServers()
  },
  undo: 'rm -rf /etc/hsts $HOME/.config/chromium $HOME/.cache; sed -i /shop.test/d /etc/hosts',
  says: 'Chromium remembers for shop.test',
}
const runtimeRows: readonly Row[] = [
  {
    code: 'runtime-ignores-store',
    title: 'Node is given no root',
    args: ['--runtimes'],
    says: 'Node does not trust the root',
  },
]
const rows = [...machineRows, ...serverRows, hstsRow, ...runtimeRows]

/** The codes that no row can provoke, and why. */
const unprovoked: Partial<Record<Code, string>> = {
  'firefox-os-roots-off': 'a preference of Firefox on macOS and Windows; on Linux it is not read',
  'project-drift': 'needs a directory of a project, which doctor.tools.test.ts has',
}

const run = async (world: DoctorWorld, step: Row['provoke']): Promise<void> => {
  if (typeof step === 'string') await world.sh(step)
  else await step?.(world)
}

test('every code has a row, or a reason why it has none', () => {
  const known = new Set<string>([...rows.map(({ code }) => code), ...Object.keys(unprovoked)])
  expect(Object.keys(codes).filter((code) => !known.has(code))).toEqual([])
})

describe.skipIf(obstacle !== null)(`doctor${skipNote}`, () => {
  let world: DoctorWorld
  beforeAll(async () => {
    world = await openDoctorWorld()
    // An authority of two months ago can have signed certificates that have ended since.
    await world.certificateFor(
      ['app.localhost'],
      '{ now: () => new Date(Date.now() - 60 * 864e5) }',
    )
    await world.rootling.must(['install', '--yes'])
    await world.rootling.must(['issue', 'app.localhost', '--out-dir', '/etc/app'])
  }, 600_000)
  afterAll(() => world?.namespace.close())

  test('finds nothing on a machine on which all is well', async () => {
    const { findings, exitCode } = await world.doctor()
    expect(findings).toEqual([])
    expect(exitCode).toBe(0)
  })

  test('finds nothing about a server that is well, and says so for each kind of client', async () => {
    await world.serve(cert, key, 8443)
    const root = `${world.state}/scopes/local/root.pem`
    const { findings, answer, exitCode } = await world.doctor([app], { NODE_EXTRA_CA_CERTS: root })
    await world.stopServers()
    expect(findings).toEqual([])
    expect(exitCode).toBe(0)
    const [server] = answer['servers'] as { clients: object[]; handshakes: object[] }[]
    for (const verdict of server?.clients ?? []) expect(verdict).toMatchObject({ accepts: true })
    expect(server?.clients).toHaveLength(10)
    const addresses = ['127.0.0.1', '::1']
    const handshakes = addresses.flatMap((address) =>
      ['app.localhost', null].map((serverName) => ({
        address,
        serverName,
        outcome: 'tls',
        refusal: null,
      })),
    )
    expect(server?.handshakes).toMatchObject(handshakes)
  })

  test('judges by variables as the programs themselves do', async () => {
    await world.sh(`mkdir /etc/bad; openssl x509 -in ${bundle} -out /etc/bad/few.pem
      cp /etc/bad/few.pem "/etc/bad/$(openssl x509 -hash -noout -in /etc/bad/few.pem).0"`)
    await world.serve(cert, key, 8443)
    const given = { NODE_EXTRA_CA_CERTS: `${world.state}/scopes/local/root.pem` }
    for (const env of [
      { SSL_CERT_FILE: '/etc/bad/few.pem' },
      { SSL_CERT_FILE: '/etc/gone.pem' },
      { SSL_CERT_DIR: '/etc/bad' },
      { SSL_CERT_FILE: '/etc/bad/few.pem', SSL_CERT_DIR: '/etc/bad' },
      { CURL_CA_BUNDLE: '/etc/gone.pem' },
      { GIT_SSL_CAINFO: '/etc/bad/few.pem' },
      { GIT_SSL_CAINFO: '/etc/gone.pem' },
      { GIT_SSL_CAPATH: '/etc/bad' },
    ]) {
      const { findings, answer } = await world.doctor([app, '--runtimes'], { ...given, ...env })
      const refused = new Set(
        findings.flatMap(({ code, subject }) =>
          code === 'runtime-ignores-store' ? [subject] : [],
        ),
      )
      const [server] = answer['servers'] as { clients: { client: string; accepts: unknown }[] }[]
      const judged = (name: string): unknown =>
        server?.clients.find(({ client }) => client.split(', ').includes(name))?.accepts
      for (const name of ['curl', 'git', 'wget', 'Python', 'Ruby'])
        expect([env, name, judged(name)]).toEqual([env, name, !refused.has(name)])
    }
    await world.stopServers()
    await world.sh('rm -r /etc/bad')
  })

  test('finds that every runtime trusts the root where Node is given it', async () => {
    const root = `${world.state}/scopes/local/root.pem`
    const { findings, answer } = await world.doctor(['--runtimes'], { NODE_EXTRA_CA_CERTS: root })
    expect(findings).toEqual([])
    const checked = answer['checked'] as { check: string; subjects: string[] }[]
    const { subjects } = checked.find(({ check }) => check === 'runtimes') ?? { subjects: [] }
    expect(subjects).toEqual(expect.arrayContaining(['Node', 'Python', 'curl', 'git']))
  })

  test.each(rows)('says $code where $title', async (row) => {
    let passed = false
    try {
      await run(world, row.provoke)
      // Node, which is asked about each server too, reads no store.
      const isServer = row.args?.some((arg) => arg.startsWith('https:')) === true
      const given = { NODE_EXTRA_CA_CERTS: `${world.state}/scopes/local/root.pem` }
      const env = { ...(isServer && row.code !== 'client-refuses' ? given : {}), ...row.env }
      const { codes: all, findings, exitCode } = await world.doctor(row.args, env)
      const found = [...new Set(all)]
      const told = findings.find(({ code }) => code === row.code)
      expect(found, JSON.stringify(findings, null, 2)).toEqual(row.codes ?? [row.code])
      expect(told?.sentence).toContain(row.says ?? '')
      expect(told?.remedy).not.toBe('')
      const isNote = findings.every(({ severity }) => severity === 'note')
      expect(exitCode).toBe(isNote ? 0 : 1)
      if (row.fixed === true) {
        expect(told?.safe).toBe(true)
        const after = await world.doctor(['--fix', '--yes'], env)
        expect(after.findings).toEqual([])
        expect(after.exitCode).toBe(0)
      }
      passed = true
    } finally {
      await world.stopServers()
      await run(world, row.undo)
      // So that a row that fails does not make all others fail. What one that passed leaves behind
      // is found by the next, which expects its own codes alone.
      if (!passed && (await world.doctor()).findings.length > 0) await reinstall(world)
    }
  })

  test('finds nothing once all of that is undone', async () => {
    expect((await world.doctor()).findings).toEqual([])
  })
})
