import type { CommandSpec } from '../command.ts'

const databaseOption = {
  type: 'string',
  placeholder: 'URL',
  describe: 'postgres://USER@HOST/DATABASE; or the variable ROOTLING_DATABASE',
} as const

const keyOptions = {
  'passphrase-file': {
    type: 'string',
    placeholder: 'F',
    describe: 'Its first line opens the keys in the database',
    excludes: ['key-command', 'key-pkcs11'],
  },
  'key-command': {
    type: 'string',
    placeholder: 'PROGRAM',
    describe: 'A program that prints it, such as one that asks a KMS',
    excludes: ['key-pkcs11'],
  },
  'key-pkcs11': {
    type: 'string',
    placeholder: 'URI',
    describe: 'The key of a PKCS #11 module that opens it, as a URI of RFC 7512',
  },
} as const satisfies CommandSpec['options']

const socketOption = {
  type: 'string',
  placeholder: 'PATH',
  describe: 'The administrator’s socket; default: in ROOTLING_HOME',
  completes: ['files'],
} as const

/** How an administrator reaches the server of another machine. */
const remoteOptions = {
  server: {
    type: 'string',
    placeholder: 'URL',
    describe: 'A server’s --admin-port, such as https://ca.team.internal:14601',
    excludes: ['socket'],
  },
  'cert-file': {
    type: 'string',
    placeholder: 'F',
    describe: 'With --server: your client certificate',
  },
  'key-file': { type: 'string', placeholder: 'F', describe: 'With --server: its key' },
  cacert: {
    type: 'string',
    placeholder: 'F',
    describe: 'With --server: the team’s root; default: those that this system trusts',
  },
} as const satisfies CommandSpec['options']

export const serverRunSpec = {
  name: 'server run',
  summary: 'Serve ACME for a team, with its state in PostgreSQL',
  options: {
    database: databaseOption,
    url: {
      type: 'string',
      placeholder: 'URL',
      describe: 'How clients reach it, such as https://ca.team.internal',
    },
    ...keyOptions,
    host: { type: 'string', placeholder: 'ADDR', describe: 'Address; default 127.0.0.1' },
    port: { type: 'number', placeholder: 'N', describe: 'Port; default 14600', alias: 'p' },
    'revocation-url': {
      type: 'string',
      placeholder: 'URL',
      describe: 'How clients reach CRL and OCSP: http; default: certificates name none',
    },
    'revocation-port': { type: 'number', placeholder: 'N', describe: 'Its port; default 14680' },
    proxy: {
      type: 'string',
      array: true,
      placeholder: 'IP',
      describe: 'A balancer, or a range of them, that sends PROXY headers',
    },
    'http01-port': { type: 'number', placeholder: 'N', describe: 'Default 80; 0: not offered' },
    'tls-alpn01-port': {
      type: 'number',
      placeholder: 'N',
      describe: 'Default 443; 0: not offered',
    },
    'dns-resolver': {
      type: 'string',
      placeholder: 'IP',
      describe: 'For dns-01 and for all names, as IP or IP:PORT',
    },
    'allow-address': {
      type: 'string',
      array: true,
      placeholder: 'IP',
      describe: 'Validate there too; without it: no loopback, metadata, own address or database',
    },
    'no-eab-required': { type: 'boolean', describe: 'Anybody who reaches it may open an account' },
    replica: {
      type: 'string',
      placeholder: 'NAME',
      describe: 'Its name in the audit trail; default: that of the machine, with --port',
    },
    'no-limits': { type: 'boolean', describe: 'Count neither orders, accounts nor failures' },
    'admin-port': {
      type: 'number',
      placeholder: 'N',
      describe: 'Administration by client certificates; default: by the socket alone',
    },
    'admin-host': {
      type: 'string',
      placeholder: 'ADDR',
      describe: 'Its address; default 127.0.0.1',
    },
    admin: {
      type: 'string',
      array: true,
      placeholder: 'NAME',
      describe: 'Who may: the e-mail, DNS name, URI or SHA-256 of a client certificate',
    },
    'metrics-port': {
      type: 'number',
      placeholder: 'N',
      describe: 'Prometheus metrics on 127.0.0.1; default: none',
    },
    drain: {
      type: 'number',
      placeholder: 'S',
      describe: 'Seconds between “not ready” and the end; default 5',
    },
    socket: socketOption,
  },
  examples: ['rootling server run --url https://ca.team.internal --passphrase-file pass'],
} as const satisfies CommandSpec

export const serverInitSpec = {
  name: 'server init',
  summary: 'Make a team’s authority in a database, and its schema',
  options: {
    database: databaseOption,
    permit: {
      type: 'string',
      array: true,
      placeholder: 'NAME',
      describe: 'A domain with all below it, or a range of addresses, that it may sign',
    },
    ...keyOptions,
    grant: {
      type: 'string',
      placeholder: 'ROLE',
      describe: 'The role of the database that the servers use',
    },
    force: { type: 'boolean', describe: 'Permit a whole top-level domain too' },
  },
  examples: ['rootling server init --permit team.internal --passphrase-file pass'],
} as const satisfies CommandSpec

export const serverMigrateSpec = {
  name: 'server migrate',
  summary: 'Bring a team’s database to this release; servers may go on',
  options: { database: databaseOption, grant: serverInitSpec.options.grant },
  examples: ['rootling server migrate --database postgres:///ca --grant ca'],
} as const satisfies CommandSpec

export const serverEabSpec = {
  name: 'server eab',
  summary: 'Keys with which a team’s ACME clients register',
  positionals: 'create|list|revoke…',
  options: {
    label: { type: 'string', placeholder: 'TEXT', describe: 'What you call a new key' },
    name: {
      type: 'string',
      array: true,
      placeholder: 'NAME',
      describe: 'What its accounts may order: a.team.internal, *.team.internal, 10.1.0.0/16',
    },
    preauthorized: {
      type: 'string',
      array: true,
      placeholder: 'NAME',
      describe: 'What they may order without a challenge',
    },
    profile: {
      type: 'string',
      array: true,
      placeholder: 'P',
      describe: 'The profiles; default: all',
    },
    uses: {
      type: 'number',
      placeholder: 'N',
      describe: 'How many accounts it binds; default 1; 0: any number',
    },
    days: { type: 'number', placeholder: 'N', describe: 'When it ends; default: never' },
    socket: socketOption,
    ...remoteOptions,
  },
  examples: [
    "rootling server eab create --name '*.team.internal' --label 'the shop'",
    'rootling server eab list',
    'rootling server eab revoke KID',
  ],
} as const satisfies CommandSpec

export const serverAdminCertSpec = {
  name: 'server admin-cert',
  summary: 'Client certificates of a team’s administrators',
  positionals: 'create|list|revoke…',
  options: {
    out: {
      type: 'string',
      placeholder: 'DIR',
      describe: 'Where create puts certificate, key and the team’s root; default: here',
    },
    socket: socketOption,
    ...remoteOptions,
  },
  examples: [
    'rootling server admin-cert create alice@team.internal --out alice',
    'rootling server admin-cert list',
    'rootling server admin-cert revoke SERIAL',
  ],
} as const satisfies CommandSpec

export const serverRotateSpec = {
  name: 'server rotate',
  summary: 'Replace a team’s authority in two steps, without a gap',
  options: {
    database: databaseOption,
    ...keyOptions,
    prepare: {
      type: 'boolean',
      describe: 'Make the next authority, and publish its root in /roots.pem',
      excludes: ['activate', 'finish'],
    },
    activate: {
      type: 'boolean',
      describe: 'Sign with it from now on; a week after --prepare',
      excludes: ['finish'],
    },
    now: { type: 'boolean', describe: 'Within the week too', needs: ['activate'] },
    finish: {
      type: 'boolean',
      describe: 'Delete replaced authorities whose last certificate has ended',
    },
  },
  examples: [
    'rootling server rotate --prepare --passphrase-file pass',
    'rootling server rotate --activate --passphrase-file pass',
    'rootling server rotate',
  ],
} as const satisfies CommandSpec

export const serverRekeySpec = {
  name: 'server rekey',
  summary: 'Seal a team’s keys with another passphrase',
  options: {
    database: databaseOption,
    ...keyOptions,
    'new-passphrase-file': {
      type: 'string',
      placeholder: 'F',
      describe: 'Its first line opens the keys from now on',
      excludes: ['new-key-command', 'new-key-pkcs11'],
    },
    'new-key-command': {
      type: 'string',
      placeholder: 'PROGRAM',
      describe: 'A program that prints the new passphrase',
      excludes: ['new-key-pkcs11'],
    },
    'new-key-pkcs11': {
      type: 'string',
      placeholder: 'URI',
      describe: 'The key of a PKCS #11 module that opens it from now on',
    },
  },
  examples: ['rootling server rekey --passphrase-file old --new-passphrase-file new'],
} as const satisfies CommandSpec

export const serverAuditSpec = {
  name: 'server audit',
  summary: 'Check that nobody has changed a team’s audit trail, or drop old months of it',
  positionals: 'verify|drop',
  options: {
    database: databaseOption,
    before: {
      type: 'string',
      placeholder: 'MONTH',
      describe: 'drop: the months before this one, such as 2026-01',
    },
    heads: {
      type: 'string',
      placeholder: 'FILE',
      describe: 'verify: what an earlier verify --json printed, to find a cut end too',
    },
  },
  examples: [
    'rootling server audit verify --database postgres:///ca',
    'rootling server audit drop --before 2026-01 --database postgres:///ca',
  ],
} as const satisfies CommandSpec

export const serverRestoredSpec = {
  name: 'server restored',
  summary: 'Find, and revoke again, what a restored database does not know as revoked',
  options: {
    database: databaseOption,
    crl: { type: 'string', placeholder: 'FILE', describe: 'The newest CRL that was kept' },
    revoke: { type: 'boolean', describe: 'Revoke them again; as the owner of the database' },
  },
  examples: ['rootling server restored --crl team.crl --database postgres:///ca'],
} as const satisfies CommandSpec
