import { revocationReasons } from '../storage/files/record.ts'
import type { CommandBody, CommandSpec } from './command.ts'

const keyTypes = ['p256', 'p384', 'rsa2048', 'rsa3072', 'rsa4096', 'ed25519'] as const

const storeOptions = {
  stores: {
    type: 'string',
    placeholder: 'LIST',
    describe: 'Only these kinds of stores: system,nss,java',
  },
  scope: {
    type: 'string',
    choices: ['user', 'system'] as const,
    describe: 'macOS and Windows: for you alone, or for every user',
  },
  'dry-run': { type: 'boolean', describe: 'Print what would be done, change nothing' },
  yes: { type: 'boolean', describe: 'Ask nothing, agree to everything', alias: 'y' },
  'no-sudo': { type: 'boolean', describe: 'Never become root; leave what needs it undone' },
} as const satisfies CommandSpec['options']

const permitOptions = {
  unconstrained: { type: 'boolean', describe: 'A scope that may sign any name, as mkcert’s root' },
  force: { type: 'boolean', describe: 'Permit a whole top-level domain too' },
} as const satisfies CommandSpec['options']

const passwordOptions = {
  password: {
    type: 'string',
    placeholder: 'P',
    describe: 'For --pkcs12 (default: a random one) and --encrypt-key; others may see it',
  },
  'password-file': { type: 'string', placeholder: 'F', describe: 'Its first line is the password' },
} as const satisfies CommandSpec['options']

export const installSpec = {
  name: 'install',
  summary: 'Create the local CA when there is none, and trust it everywhere',
  options: {
    permit: {
      type: 'string',
      array: true,
      placeholder: 'NAME',
      describe: 'Also permit this domain (with all below it) or CIDR range',
    },
    name: {
      type: 'string',
      placeholder: 'SCOPE',
      describe: 'Name of the scope that --permit adds',
    },
    ...permitOptions,
    ...storeOptions,
  },
  examples: ['rootling install', 'rootling install --yes --json', 'rootling install --dry-run'],
} as const satisfies CommandSpec

export const uninstallSpec = {
  name: 'uninstall',
  summary: 'Take the local CA out of every trust store',
  options: {
    'delete-ca': { type: 'boolean', describe: 'Delete the CA, its keys and its record too' },
    all: { type: 'boolean', describe: 'Also roots of other Rootling authorities found here' },
    ...storeOptions,
  },
  examples: ['rootling uninstall', 'rootling uninstall --delete-ca --yes'],
} as const satisfies CommandSpec

export const statusSpec = {
  name: 'status',
  summary: 'Ask every trust store afresh whether it trusts the local CA',
  options: { stores: storeOptions.stores },
  examples: ['rootling status', 'rootling status --json'],
} as const satisfies CommandSpec

export const issueSpec = {
  name: 'issue',
  summary: 'Issue a certificate for hosts, wildcards, addresses, e-mails, URIs',
  positionals: 'NAME…',
  options: {
    'key-type': { type: 'string', choices: keyTypes, describe: 'Kind of key; default p256' },
    days: { type: 'number', placeholder: 'N', describe: 'Days of validity, 1 to 825; default 397' },
    'cert-file': { type: 'string', placeholder: 'F', describe: 'Where the certificate goes' },
    'key-file': { type: 'string', placeholder: 'F', describe: 'Where the private key goes' },
    'out-dir': { type: 'string', placeholder: 'DIR', describe: 'Directory for both files' },
    stdout: { type: 'boolean', describe: 'Print certificate, intermediate and key; write nothing' },
    client: { type: 'boolean', describe: 'For a client that shows it to servers (mTLS)' },
    csr: {
      type: 'string',
      placeholder: 'F',
      describe: 'Sign the key of this certification request',
    },
    'self-signed': { type: 'boolean', describe: 'Sign it by its own key: trusted by nobody' },
    pkcs12: { type: 'boolean', describe: 'Also a NAME.p12 for browsers and Java' },
    'p12-file': { type: 'string', placeholder: 'F', describe: 'Where the .p12 goes' },
    'legacy-pkcs12': { type: 'boolean', describe: 'A .p12 that old systems can read' },
    der: { type: 'boolean', describe: 'Also the certificate alone in DER, NAME.der' },
    'chain-file': { type: 'string', placeholder: 'F', describe: 'Also the intermediate alone' },
    full: { type: 'boolean', describe: 'Also NAME-full.pem, certificate and key in one (HAProxy)' },
    'encrypt-key': { type: 'boolean', describe: 'Encrypt the key file with a passphrase' },
    ...passwordOptions,
    'revocation-url': {
      type: 'string',
      placeholder: 'URL',
      describe: 'Name this responder for OCSP and CRL; default: the daemon’s, while it runs',
    },
    'no-revocation-url': { type: 'boolean', describe: 'Name none, now and when it is renewed' },
    'on-renew': {
      type: 'string',
      placeholder: 'COMMAND',
      describe: 'Run it in / after each renewal',
    },
    force: { type: 'boolean', describe: 'Replace files that are not ours' },
  },
  examples: [
    'rootling issue localhost 127.0.0.1 ::1',
    "rootling issue shop.test '*.shop.test' --out-dir certs",
    'rootling issue localhost --cert-file tls.crt --key-file tls.key',
  ],
} as const satisfies CommandSpec

export const listSpec = {
  name: 'list',
  summary: 'Show the certificates that were issued',
  options: {
    all: { type: 'boolean', describe: 'Replaced and expired ones too' },
    due: { type: 'boolean', describe: 'Only those that are due for renewal' },
    expired: { type: 'boolean', describe: 'Only those that have expired' },
  },
} as const satisfies CommandSpec

export const renewSpec = {
  name: 'renew',
  summary: 'Re-issue certificates in place, keeping their keys',
  positionals: '[NAME…]',
  options: {
    all: { type: 'boolean', describe: 'Every certificate on record' },
    due: { type: 'boolean', describe: 'Those past two thirds of their life' },
    rekey: { type: 'boolean', describe: 'Make a new key too' },
  },
  examples: ['rootling renew --due', 'rootling renew localhost', 'rootling renew --all --rekey'],
} as const satisfies CommandSpec

export const requestSpec = {
  name: 'request',
  summary: 'Make a key and a certification request (CSR) for another CA',
  positionals: 'NAME…',
  options: {
    'key-type': { type: 'string', choices: keyTypes, describe: 'Kind of key; default p256' },
    'csr-file': { type: 'string', placeholder: 'F', describe: 'Where the request goes; NAME.csr' },
    'key-file': { type: 'string', placeholder: 'F', describe: 'Where the private key goes' },
    force: { type: 'boolean', describe: 'Replace files that are there' },
  },
} as const satisfies CommandSpec

export const caListSpec = {
  name: 'ca list',
  summary: 'Show the scopes: what each may sign, its end, where it is trusted',
  options: {},
} as const satisfies CommandSpec

export const caPermitSpec = {
  name: 'ca permit',
  summary: 'Add a scope for further names, and trust its root too',
  positionals: 'NAME…',
  options: {
    name: { type: 'string', placeholder: 'SCOPE', describe: 'Name of the scope' },
    ...permitOptions,
    ...storeOptions,
  },
  examples: [
    'rootling ca permit dev.example.com --name work',
    'rootling ca permit 100.64.0.0/10',
    'rootling ca permit --unconstrained',
  ],
} as const satisfies CommandSpec

export const caForgetSpec = {
  name: 'ca forget',
  summary: 'Take a scope out of every trust store and delete it',
  positionals: 'SCOPE',
  options: storeOptions,
} as const satisfies CommandSpec

export const caRotateSpec = {
  name: 'ca rotate',
  summary: 'Replace a scope’s root and intermediate without a gap',
  positionals: '[SCOPE]',
  options: storeOptions,
  examples: ['rootling ca rotate', 'rootling ca rotate work'],
} as const satisfies CommandSpec

export const caImportSpec = {
  name: 'ca import',
  summary: 'Adopt an existing CA, such as mkcert’s, with its key',
  options: {
    cert: { type: 'string', placeholder: 'F', describe: 'Its certificate; default: mkcert’s' },
    key: { type: 'string', placeholder: 'F', describe: 'Its private key; default: mkcert’s' },
    name: { type: 'string', placeholder: 'SCOPE', describe: 'Name of the scope' },
    'password-file': {
      type: 'string',
      placeholder: 'F',
      describe: 'Its first line is the key’s passphrase',
    },
  },
  examples: ['rootling ca import', 'rootling ca import --cert rootCA.pem --key rootCA-key.pem'],
} as const satisfies CommandSpec

export const caExportSpec = {
  name: 'ca export',
  summary: 'Write a root for others: phones, containers, Java',
  positionals: '[SCOPE]',
  options: {
    format: {
      type: 'string',
      choices: ['pem', 'der', 'pkcs12', 'jks'] as const,
      describe: 'Default pem; pkcs12 and jks are Java trust stores, password changeit',
    },
    out: {
      type: 'string',
      placeholder: 'F',
      describe: 'File to write; PEM goes to stdout without',
    },
    force: { type: 'boolean', describe: 'Replace a file that is there' },
  },
  examples: ['rootling ca export > root.pem', 'rootling ca export --format jks --out trust.jks'],
} as const satisfies CommandSpec

export const caPathSpec = {
  name: 'ca path',
  summary: 'Print where a root’s PEM file is',
  positionals: '[SCOPE]',
  options: {},
} as const satisfies CommandSpec

export const caShowSpec = {
  name: 'ca show',
  summary: 'Explain a scope’s root in plain words',
  positionals: '[SCOPE]',
  options: {},
} as const satisfies CommandSpec

export const caDeleteSpec = {
  name: 'ca delete',
  summary: 'Uninstall everything and delete the CA, its keys and record',
  options: storeOptions,
} as const satisfies CommandSpec

export const trustSpec = {
  name: 'trust',
  summary: 'Trust a teammate’s public root, checked by its fingerprint',
  positionals: 'FILE|URL',
  options: {
    fingerprint: {
      type: 'string',
      placeholder: 'SHA256',
      describe: 'What the root must be; needed where nobody can be asked',
    },
    ...storeOptions,
  },
  examples: ['rootling trust ada-root.pem --fingerprint 84595e78…'],
} as const satisfies CommandSpec

export const serveSpec = {
  name: 'serve',
  summary: 'Serve a page or a directory over HTTPS',
  positionals: '[NAME…]',
  options: {
    host: { type: 'string', placeholder: 'ADDR', describe: 'Address; default 127.0.0.1' },
    port: { type: 'number', placeholder: 'N', describe: 'Port; default 8443', alias: 'p' },
    cert: {
      type: 'string',
      placeholder: 'F',
      describe: 'Certificate file; default: one is issued',
    },
    key: { type: 'string', placeholder: 'F', describe: 'Its private key' },
    dir: { type: 'string', placeholder: 'DIR', describe: 'Serve the files below this directory' },
    'on-demand': {
      type: 'boolean',
      describe: 'Issue for every other name too, when a client first asks for it',
    },
    'tls-min': { type: 'string', choices: ['1.2', '1.3'], describe: 'Default 1.3' },
    mtls: { type: 'boolean', describe: 'Answer only clients that show a certificate of ours' },
    'mtls-optional': { type: 'boolean', describe: 'The same, but those without one too' },
    'client-ca': {
      type: 'string',
      placeholder: 'F',
      describe: 'With --mtls: the CAs of the clients, instead of ours',
    },
  },
  examples: ['rootling serve', 'rootling serve app.localhost --dir public --port 9443'],
} as const satisfies CommandSpec

export const getSpec = {
  name: 'get',
  summary: 'Fetch a URL, trusting the local CA, and explain a refusal',
  positionals: 'URL',
  options: {
    cacert: { type: 'string', placeholder: 'F', describe: 'Trust only the roots in this file' },
    'client-cert': { type: 'string', placeholder: 'F', describe: 'Certificate to show the server' },
    'client-key': { type: 'string', placeholder: 'F', describe: 'Its private key' },
    compare: { type: 'boolean', describe: 'Also show what a client without our root sees' },
    verbose: { type: 'boolean', describe: 'Print how the connection was secured', alias: 'v' },
  },
  examples: [
    'rootling get https://localhost:8443',
    'rootling get --compare https://localhost:8443',
  ],
} as const satisfies CommandSpec

export const revokeSpec = {
  name: 'revoke',
  summary: 'Revoke a certificate, or release one from hold',
  positionals: 'SERIAL|FILE',
  options: {
    reason: {
      type: 'string',
      choices: revocationReasons,
      describe: 'Why (RFC 5280); a certificateHold can be released',
    },
    release: { type: 'boolean', describe: 'End a certificateHold' },
  },
  examples: [
    'rootling revoke localhost.pem --reason keyCompromise',
    'rootling revoke 4a0f… --release',
  ],
} as const satisfies CommandSpec

export const crlSpec = {
  name: 'crl',
  summary: 'Print the list of revoked certificates (CRL), signed anew',
  options: {
    scope: { type: 'string', placeholder: 'NAME', describe: 'Of this scope; default local' },
    root: { type: 'boolean', describe: 'The root’s own list instead, which is empty for good' },
    out: { type: 'string', placeholder: 'F', describe: 'Write it to this file' },
    der: { type: 'boolean', describe: 'DER instead of PEM; with --out' },
  },
  examples: ['rootling crl --out local-crl.pem', 'rootling crl --der --out local.crl'],
} as const satisfies CommandSpec

export const ocspSpec = {
  name: 'ocsp',
  summary: 'Answer clients that ask whether a certificate is revoked',
  options: {
    host: { type: 'string', placeholder: 'ADDR', describe: 'Address; default 127.0.0.1' },
    port: { type: 'number', placeholder: 'N', describe: 'Port; default 14680', alias: 'p' },
  },
  examples: ['rootling ocsp', 'rootling issue localhost --revocation-url http://127.0.0.1:14680'],
} as const satisfies CommandSpec

export const showSpec = {
  name: 'show',
  summary: 'Explain any certificate, and what would refuse it',
  positionals: 'FILE|SERIAL|HOST:PORT',
  options: {},
  examples: ['rootling show localhost.pem', 'rootling show localhost:8443'],
} as const satisfies CommandSpec

export const installClientSpec = {
  name: 'install-client',
  summary: 'Give the browsers here a client certificate, from its .p12 file',
  positionals: 'FILE',
  options: {
    'password-file': {
      type: 'string',
      placeholder: 'F',
      describe: 'Its first line is the password',
    },
    name: { type: 'string', placeholder: 'NICK', describe: 'What browsers call it' },
    remove: { type: 'boolean', describe: 'Take it out again; FILE may be the .pem too' },
    'dry-run': storeOptions['dry-run'],
  },
  examples: [
    'rootling issue --client alice@example.test --pkcs12',
    'rootling install-client alice@example.test-client.p12',
    'rootling install-client --remove alice@example.test-client.pem',
  ],
} as const satisfies CommandSpec

export const daemonStartSpec = {
  name: 'daemon start',
  summary: 'Start the daemon: renewal, ACME, revocation',
  options: {
    'acme-port': { type: 'number', placeholder: 'N', describe: 'Default 14600; 0: no ACME' },
    'revocation-port': {
      type: 'number',
      placeholder: 'N',
      describe: 'Default 14680; 0: no CRL and OCSP',
    },
    'http01-port': {
      type: 'number',
      placeholder: 'N',
      describe: 'Where http-01 asks; default 80; 0: not offered',
    },
    'tls-alpn01-port': {
      type: 'number',
      placeholder: 'N',
      describe: 'Where tls-alpn-01 asks; default 443; 0: not offered',
    },
    'dns-resolver': { type: 'string', placeholder: 'IP', describe: 'For dns-01, as IP or IP:PORT' },
    'allow-remote': { type: 'boolean', describe: 'Look for challenges on other machines too' },
    'eab-required': { type: 'boolean', describe: 'Accounts need a key of rootling acme eab' },
  },
  examples: ['rootling daemon start', 'rootling daemon start --http01-port 5002'],
} as const satisfies CommandSpec

export const daemonStatusSpec = {
  name: 'daemon status',
  summary: 'Show what the daemon does and since when; exit 1 when it does not run',
  options: {},
} as const satisfies CommandSpec

export const daemonLogsSpec = {
  name: 'daemon logs',
  summary: 'Show the end of the daemon’s log',
  options: {
    follow: { type: 'boolean', describe: 'Go on as lines come', alias: 'f' },
    lines: { type: 'number', placeholder: 'N', describe: 'How many; default 50', alias: 'n' },
  },
} as const satisfies CommandSpec

export const acmeEabSpec = {
  name: 'acme eab',
  summary: 'Make a key with which an ACME client may register (EAB)',
  positionals: 'create',
  options: {},
  examples: ['rootling acme eab create'],
} as const satisfies CommandSpec

interface TableRow {
  readonly spec: CommandSpec
  /** It serves or waits until it is told to end. */
  readonly stays?: true
  readonly load: () => Promise<CommandBody<never>>
}

/** Every command, in the order of `--help`; a body is loaded only when it runs. */
export const commands: readonly TableRow[] = [
  { spec: installSpec, load: async () => (await import('./commands/install.ts')).install },
  { spec: issueSpec, load: async () => (await import('./commands/issue.ts')).issueCommand },
  { spec: statusSpec, load: async () => (await import('./commands/status.ts')).status },
  { spec: listSpec, load: async () => (await import('./commands/list.ts')).list },
  { spec: renewSpec, load: async () => (await import('./commands/renew.ts')).renewCommand },
  { spec: requestSpec, load: async () => (await import('./commands/request.ts')).request },
  { spec: showSpec, load: async () => (await import('./commands/show.ts')).showCommand },
  { spec: revokeSpec, load: async () => (await import('./commands/revoke.ts')).revokeCommand },
  { spec: crlSpec, load: async () => (await import('./commands/crl.ts')).crl },
  { spec: ocspSpec, stays: true, load: async () => (await import('./commands/ocsp.ts')).ocsp },
  { spec: serveSpec, stays: true, load: async () => (await import('./commands/serve.ts')).serve },
  { spec: getSpec, load: async () => (await import('./commands/get.ts')).getCommand },
  {
    spec: installClientSpec,
    load: async () => (await import('./commands/install-client.ts')).installClient,
  },
  { spec: uninstallSpec, load: async () => (await import('./commands/uninstall.ts')).uninstall },
  { spec: caListSpec, load: async () => (await import('./commands/ca-list.ts')).caList },
  { spec: caPermitSpec, load: async () => (await import('./commands/ca-permit.ts')).caPermit },
  { spec: trustSpec, load: async () => (await import('./commands/trust.ts')).trust },
  { spec: caRotateSpec, load: async () => (await import('./commands/ca-rotate.ts')).caRotate },
  { spec: caImportSpec, load: async () => (await import('./commands/ca-import.ts')).caImport },
  { spec: caExportSpec, load: async () => (await import('./commands/ca-export.ts')).caExport },
  { spec: caPathSpec, load: async () => (await import('./commands/ca-export.ts')).caPath },
  { spec: caShowSpec, load: async () => (await import('./commands/ca-export.ts')).caShow },
  { spec: caDeleteSpec, load: async () => (await import('./commands/uninstall.ts')).caDelete },
  { spec: caForgetSpec, load: async () => (await import('./commands/ca-forget.ts')).caForget },
  { spec: daemonStartSpec, load: async () => (await import('./commands/daemon.ts')).daemonStart },
  {
    spec: { ...daemonStatusSpec, name: 'daemon stop', summary: 'Stop the daemon' },
    load: async () => (await import('./commands/daemon.ts')).daemonStop,
  },
  {
    spec: {
      ...daemonStartSpec,
      name: 'daemon restart',
      summary: 'Stop and start it, also for new settings',
    },
    load: async () => (await import('./commands/daemon.ts')).daemonRestart,
  },
  { spec: daemonStatusSpec, load: async () => (await import('./commands/daemon.ts')).daemonStatus },
  {
    spec: daemonLogsSpec,
    stays: true,
    load: async () => (await import('./commands/daemon.ts')).daemonLogs,
  },
  {
    spec: { ...daemonStartSpec, name: 'daemon run', summary: 'Run it in the foreground' },
    stays: true,
    load: async () => (await import('./commands/daemon.ts')).daemonRun,
  },
  {
    spec: { ...daemonStatusSpec, name: 'daemon install', summary: 'Start it at each login' },
    load: async () => (await import('./commands/daemon-install.ts')).daemonInstall,
  },
  {
    spec: { ...daemonStatusSpec, name: 'daemon uninstall', summary: 'Start it at login no more' },
    load: async () => (await import('./commands/daemon-install.ts')).daemonUninstall,
  },
  { spec: acmeEabSpec, load: async () => (await import('./commands/acme-eab.ts')).acmeEab },
]

/** The command that a line begins with, of two words or one; `undefined`: none. */
export function commandOf([first = '', second = '']: readonly string[]): TableRow | undefined {
  const named = (name: string): TableRow | undefined =>
    commands.find(({ spec }) => spec.name === name)
  return named(`${first} ${second}`) ?? named(first)
}
