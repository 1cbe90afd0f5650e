import type { CommandSpec } from '../command.ts'

export const serveSpec = {
  name: 'serve',
  summary: 'Serve a page or a directory over HTTPS',
  positionals: '[NAME…]',
  options: {
    host: { type: 'string', placeholder: 'ADDR', describe: 'Address; default 127.0.0.1 and ::1' },
    port: { type: 'number', placeholder: 'N', describe: 'Port; default 8443', alias: 'p' },
    'cert-file': {
      type: 'string',
      placeholder: 'F',
      describe: 'Certificate file; default: one is issued',
      hidden: ['cert'],
      excludes: ['on-demand'],
    },
    'key-file': {
      type: 'string',
      placeholder: 'F',
      describe: 'Its private key',
      hidden: ['key'],
    },
    dir: { type: 'string', placeholder: 'DIR', describe: 'Serve the files in this directory' },
    'on-demand': {
      type: 'boolean',
      describe: 'Issue for any other name when a client first asks for it',
    },
    'tls-min': { type: 'string', choices: ['1.2', '1.3'], describe: 'Oldest TLS; default 1.3' },
    mtls: {
      type: 'boolean',
      describe: 'Answer only clients with a certificate of this CA',
      excludes: ['mtls-optional'],
    },
    'mtls-optional': { type: 'boolean', describe: 'Like --mtls, but certificates are optional' },
    'client-ca': {
      type: 'string',
      placeholder: 'F',
      describe: 'With --mtls: accept the clients of these CAs instead',
    },
  },
  examples: ['rootling serve', 'rootling serve app.localhost --dir public --port 9443'],
} as const satisfies CommandSpec

export const getSpec = {
  name: 'get',
  summary: 'Fetch a URL with the local CA, and explain a refusal',
  positionals: 'URL',
  options: {
    cacert: { type: 'string', placeholder: 'F', describe: 'Trust only the roots in this file' },
    'cert-file': {
      type: 'string',
      placeholder: 'F',
      describe: 'Certificate to show the server',
      hidden: ['cert', 'client-cert'],
    },
    'key-file': {
      type: 'string',
      placeholder: 'F',
      describe: 'Its private key',
      hidden: ['key', 'client-key'],
    },
    include: { type: 'boolean', describe: 'Print status and headers before the body', alias: 'i' },
    compare: { type: 'boolean', describe: 'Also show what a client without the root sees' },
    verbose: { type: 'boolean', describe: 'Print how the connection was secured', alias: 'v' },
  },
  examples: [
    'rootling get localhost:8443',
    'rootling get https://localhost:8443/api',
    'rootling get --compare https://localhost:8443',
  ],
} as const satisfies CommandSpec

export const ocspSpec = {
  name: 'ocsp',
  summary: 'Tell clients which certificates are revoked (OCSP)',
  options: {
    host: { type: 'string', placeholder: 'ADDR', describe: 'Address; default 127.0.0.1' },
    port: { type: 'number', placeholder: 'N', describe: 'Port; default 14680', alias: 'p' },
  },
  examples: ['rootling ocsp', 'rootling issue localhost --revocation-url http://127.0.0.1:14680'],
} as const satisfies CommandSpec

export const daemonStartSpec = {
  name: 'daemon start',
  summary: 'Start the daemon: renewal, ACME, revocation, proxy',
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
      describe: 'Port that http-01 asks; default 80; 0: not offered',
    },
    'tls-alpn01-port': {
      type: 'number',
      placeholder: 'N',
      describe: 'Port that tls-alpn-01 asks; default 443; 0: not offered',
    },
    'dns-resolver': {
      type: 'string',
      placeholder: 'IP',
      describe: 'For dns-01, as IP or IP:PORT; default system: no dns-01',
    },
    'allow-remote': { type: 'boolean', describe: 'Validate names of other machines too' },
    'no-allow-remote': {
      type: 'boolean',
      describe: 'Only names of this machine: the default',
      excludes: ['allow-remote'],
    },
    'eab-required': { type: 'boolean', describe: 'Accounts need a key from rootling acme eab' },
    'no-eab-required': {
      type: 'boolean',
      describe: 'Accounts of this machine need none: the default',
      excludes: ['eab-required'],
    },
    'acme-host': {
      type: 'string',
      placeholder: 'HOST',
      describe: 'Other machines reach ACME at this name or address, with a key from acme eab',
    },
    'proxy-port': {
      type: 'number',
      placeholder: 'N',
      describe: 'Port of the proxy; default 443, or 14443 where 443 cannot be had; 0: no proxy',
    },
    home: {
      type: 'string',
      placeholder: 'DIR',
      describe: 'In place of ROOTLING_HOME, for Windows’ task scheduler',
    },
  },
  examples: ['rootling daemon start', 'rootling daemon start --http01-port 5002'],
} as const satisfies CommandSpec

export const daemonStatusSpec = {
  name: 'daemon status',
  summary: 'Show what the daemon does and since when; exit 1 if it is not running',
  options: {},
  examples: ['rootling daemon status', 'rootling daemon status --json'],
} as const satisfies CommandSpec

export const daemonInstallSpec = {
  name: 'daemon install',
  summary: 'Start it at each login',
  options: {
    ports: {
      type: 'boolean',
      describe: 'Let it serve ports 443 and 80 too; Linux asks for sudo once',
    },
    'dry-run': {
      type: 'boolean',
      describe: 'Print what --ports would do, change nothing',
      needs: ['ports'],
    },
  },
  examples: ['rootling daemon install', 'rootling daemon install --ports --dry-run'],
} as const satisfies CommandSpec

export const daemonLogsSpec = {
  name: 'daemon logs',
  summary: 'Show the end of the daemon’s log',
  options: {
    follow: { type: 'boolean', describe: 'Print new lines as they come', alias: 'f' },
    lines: { type: 'number', placeholder: 'N', describe: 'How many; default 50', alias: 'n' },
  },
  examples: ['rootling daemon logs', 'rootling daemon logs --follow --lines 100'],
} as const satisfies CommandSpec

export const acmeEabSpec = {
  name: 'acme eab',
  summary: 'Make a key with which an ACME client may register (EAB)',
  positionals: 'create',
  options: {},
  examples: ['rootling acme eab create'],
} as const satisfies CommandSpec
