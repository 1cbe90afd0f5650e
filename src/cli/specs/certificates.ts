import { keyModes } from '../../storage/records.ts'
import { revocationReasons } from '../../x509/revocation.ts'
import type { CommandSpec } from '../command.ts'
import { keyTypes, passwordOptions } from './shared.ts'

export const issueSpec = {
  name: 'issue',
  summary: 'Issue a certificate for hosts, addresses, e-mails, …',
  positionals: 'NAME…',
  options: {
    'key-type': { type: 'string', choices: keyTypes, describe: 'Kind of key; default p256' },
    days: { type: 'number', placeholder: 'N', describe: 'Days of validity, 1 to 825; default 397' },
    'cert-file': { type: 'string', placeholder: 'F', describe: 'Where the certificate goes' },
    'key-file': { type: 'string', placeholder: 'F', describe: 'Where the private key goes' },
    'out-dir': { type: 'string', placeholder: 'DIR', describe: 'Directory for both files' },
    stdout: {
      type: 'boolean',
      describe: 'Print certificate, intermediate and key; write nothing',
      excludes: ['force', 'on-renew'],
    },
    client: { type: 'boolean', describe: 'For a client that shows it to servers (mTLS)' },
    cn: {
      type: 'string',
      placeholder: 'TEXT',
      describe: 'Common name; with --client, or of a private scope',
    },
    subject: {
      type: 'string',
      placeholder: 'DN',
      describe: "Whole subject instead, such as 'CN=alice,O=Example'",
    },
    scope: {
      type: 'string',
      placeholder: 'NAME',
      describe: 'Of this scope; default: the narrowest that permits the names',
      completes: ['scopes'],
    },
    csr: {
      type: 'string',
      placeholder: 'F',
      describe: 'Sign the key of this certification request',
    },
    'self-signed': {
      type: 'boolean',
      describe: 'Sign it with its own key: trusted by nobody',
      excludes: ['no-revocation-url'],
    },
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
    'hook-timeout': {
      type: 'number',
      placeholder: 'SECONDS',
      describe: 'End that command after this time; default 60',
    },
    'key-mode': {
      type: 'string',
      choices: keyModes,
      describe: 'Mode of the files that hold the key; default 0600',
      excludes: ['stdout', 'csr'],
    },
    group: {
      type: 'string',
      placeholder: 'GROUP',
      describe: 'Give those files to this group, which may read them',
      excludes: ['stdout', 'csr'],
    },
    'if-needed': {
      type: 'boolean',
      describe: 'Only where the files are not good any more; else do nothing',
      excludes: ['stdout', 'csr'],
    },
    force: { type: 'boolean', describe: 'Replace files that rootling did not write' },
  },
  examples: [
    'rootling issue localhost 127.0.0.1 ::1',
    "rootling issue shop.test '*.shop.test' --out-dir certs",
    'rootling issue localhost --cert-file tls.crt --key-file tls.key',
    'rootling issue --client alice@example.test --cn alice',
    'rootling issue db.localhost --if-needed --group 999',
  ],
} as const satisfies CommandSpec

export const listSpec = {
  name: 'list',
  summary: 'Show the certificates that were issued',
  options: {
    all: {
      type: 'boolean',
      describe: 'Replaced and expired ones too',
      excludes: ['due', 'expired'],
    },
    due: { type: 'boolean', describe: 'Only those that are due for renewal' },
    expired: { type: 'boolean', describe: 'Only those that have expired' },
  },
  examples: ['rootling list', 'rootling list --due', 'rootling list --all --json'],
} as const satisfies CommandSpec

export const renewSpec = {
  name: 'renew',
  summary: 'Re-issue certificates in place, keeping their keys',
  positionals: '[NAME|FILE|SERIAL…]',
  completes: ['certificates', 'files'],
  options: {
    all: { type: 'boolean', describe: 'Every one on record, or every one of that name' },
    due: { type: 'boolean', describe: 'Those past two thirds of their life' },
    rekey: { type: 'boolean', describe: 'Make a new key too' },
    'password-file': {
      type: 'string',
      placeholder: 'F',
      describe: 'Its first line is the password of a .p12 that keeps none',
    },
  },
  examples: [
    'rootling renew --due',
    'rootling renew localhost',
    'rootling renew certs/tls.crt',
    'rootling renew --all --rekey',
  ],
} as const satisfies CommandSpec

export const forgetSpec = {
  name: 'forget',
  summary: 'Drop certificates from the list whose files are gone',
  positionals: '[NAME|FILE|SERIAL…]',
  completes: ['certificates', 'files'],
  options: {
    all: { type: 'boolean', describe: 'Every one whose file is gone, or every one of that name' },
  },
  examples: ['rootling forget --all', 'rootling forget old/tls.crt'],
} as const satisfies CommandSpec

export const requestSpec = {
  name: 'request',
  summary: 'Make a key and a request (CSR) for another CA',
  positionals: 'NAME…',
  options: {
    'key-type': { type: 'string', choices: keyTypes, describe: 'Kind of key; default p256' },
    'csr-file': { type: 'string', placeholder: 'F', describe: 'Where the request goes; NAME.csr' },
    'key-file': { type: 'string', placeholder: 'F', describe: 'Where the private key goes' },
    force: { type: 'boolean', describe: 'Replace files that are there' },
  },
  examples: ['rootling request www.example.com', 'rootling request app.test --key-type rsa2048'],
} as const satisfies CommandSpec

export const revokeSpec = {
  name: 'revoke',
  summary: 'Revoke a certificate, or release one from hold',
  positionals: 'NAME|FILE|SERIAL',
  completes: ['certificates', 'files'],
  options: {
    all: { type: 'boolean', describe: 'Every certificate of that name' },
    reason: {
      type: 'string',
      choices: revocationReasons,
      describe: 'Why (RFC 5280); a certificateHold can be released',
    },
    release: { type: 'boolean', describe: 'End a certificateHold' },
  },
  examples: [
    'rootling revoke localhost.pem --reason keyCompromise',
    'rootling revoke 4a0f2c1b --release',
  ],
} as const satisfies CommandSpec

export const crlSpec = {
  name: 'crl',
  summary: 'Print the lists of revoked certificates (CRLs)',
  options: {
    scope: {
      type: 'string',
      placeholder: 'NAME',
      describe: 'Of this scope; default local',
      completes: ['scopes'],
    },
    issuer: {
      type: 'boolean',
      describe: 'Only the list of the certificates’ issuer; default: the root’s too',
      excludes: ['root'],
    },
    root: { type: 'boolean', describe: 'Only the root’s list, which is always empty' },
    out: { type: 'string', placeholder: 'F', describe: 'Write it to this file' },
    format: {
      type: 'string',
      choices: ['pem', 'der'] as const,
      describe: 'Default pem; der needs --out and holds one list',
      excludes: ['der'],
    },
    der: { type: 'boolean', describe: 'As --format der', unlisted: true },
  },
  examples: [
    'rootling crl --scope clients --out clients-crl.pem',
    'rootling crl --format der --out local.crl',
  ],
} as const satisfies CommandSpec

export const showSpec = {
  name: 'show',
  summary: 'Explain any certificate, and what would refuse it',
  positionals: 'NAME|FILE|SERIAL|HOST:PORT',
  completes: ['certificates', 'files'],
  options: {
    all: { type: 'boolean', describe: 'Every certificate of that name' },
    'password-file': {
      type: 'string',
      placeholder: 'F',
      describe: 'Its first line opens a .p12 file or a key; nothing secret is shown',
    },
  },
  examples: [
    'rootling show localhost.pem',
    'rootling show localhost:8443',
    'rootling show localhost.p12',
  ],
} as const satisfies CommandSpec
