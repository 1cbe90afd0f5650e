import type { CommandSpec } from '../command.ts'
import { forceOption, orNone, permitOptions, storeOptions } from './shared.ts'

export const caListSpec = {
  name: 'ca list',
  summary: 'Show the scopes: what each may sign, its expiry, where it is trusted',
  options: {},
  examples: ['rootling ca list', 'rootling ca list --json'],
} as const satisfies CommandSpec

export const caPermitSpec = {
  name: 'ca permit',
  summary: 'Add a scope for further names, and trust its root too',
  positionals: '[NAME…]',
  options: {
    name: {
      type: 'string',
      placeholder: 'SCOPE',
      describe: 'Name of the scope',
      completes: ['scopes'],
    },
    add: {
      type: 'boolean',
      describe: 'Add to the scope --name, which is rotated into one that permits more',
    },
    private: {
      type: 'string',
      placeholder: 'SCOPE',
      describe: 'A scope for any name that no store trusts, for programs given its root',
    },
    ...permitOptions,
    ...storeOptions,
    stores: orNone,
  },
  examples: [
    'rootling ca permit dev.example.com --name work',
    'rootling ca permit c.example.net --name work --add',
    'rootling ca permit 100.64.0.0/10',
    'rootling ca permit --unconstrained',
    'rootling ca permit --private vpn',
  ],
} as const satisfies CommandSpec

export const caForgetSpec = {
  name: 'ca forget',
  summary: 'Take a scope out of every trust store and delete it',
  positionals: 'SCOPE',
  completes: ['scopes'],
  options: { force: forceOption, ...storeOptions },
  examples: ['rootling ca forget work'],
} as const satisfies CommandSpec

export const caRotateSpec = {
  name: 'ca rotate',
  summary: 'Replace a scope’s root and intermediate without a gap',
  positionals: '[SCOPE]',
  completes: ['scopes'],
  options: {
    harden: { type: 'boolean', describe: 'The new scope is hardened, as by install --harden' },
    'no-harden': { type: 'boolean', describe: 'The new scope is not; default: as the old one' },
    ...storeOptions,
    yes: { ...storeOptions.yes, describe: 'Do not ask; without a terminal it never asks' },
  },
  examples: [
    'rootling ca rotate --dry-run',
    'rootling ca rotate',
    'rootling ca rotate work --yes',
    'rootling ca rotate --harden',
  ],
} as const satisfies CommandSpec

export const caImportSpec = {
  name: 'ca import',
  summary: 'Adopt an existing CA, such as mkcert’s, with its key',
  options: {
    'cert-file': {
      type: 'string',
      placeholder: 'F',
      describe: 'Its certificate; default: mkcert’s',
      hidden: ['cert'],
    },
    'key-file': {
      type: 'string',
      placeholder: 'F',
      describe: 'Its private key; default: mkcert’s',
      hidden: ['key'],
    },
    name: { type: 'string', placeholder: 'SCOPE', describe: 'Name of the scope' },
    'password-file': {
      type: 'string',
      placeholder: 'F',
      describe: 'Its first line is the key’s passphrase',
    },
  },
  examples: [
    'rootling ca import',
    'rootling ca import --cert-file rootCA.pem --key-file rootCA-key.pem',
  ],
} as const satisfies CommandSpec

export const caExportSpec = {
  name: 'ca export',
  summary: 'Write a root for others: phones, containers, Java',
  positionals: '[SCOPE]',
  completes: ['scopes'],
  options: {
    format: {
      type: 'string',
      choices: ['pem', 'der', 'pkcs12', 'jks'] as const,
      describe: 'Default pem; pkcs12 and jks are Java trust stores, password changeit',
    },
    out: {
      type: 'string',
      placeholder: 'F',
      describe: 'File to write; without it PEM goes to stdout',
    },
    all: { type: 'boolean', describe: 'The roots of all scopes, as PEM or pkcs12' },
    force: { type: 'boolean', describe: 'Replace a file that is there', needs: ['out'] },
  },
  examples: ['rootling ca export > root.pem', 'rootling ca export --format jks --out trust.jks'],
} as const satisfies CommandSpec

export const caPathSpec = {
  name: 'ca path',
  summary: 'Print where the PEM file of all roots, or of one, is',
  positionals: '[SCOPE]',
  completes: ['scopes'],
  options: {
    client: { type: 'boolean', describe: 'The root of client certificates, for servers' },
    openssl: {
      type: 'boolean',
      describe: 'For curl, Node and others on OpenSSL: copies in place of hardened roots',
    },
  },
  examples: [
    'rootling ca path',
    'rootling ca path work',
    'rootling ca path --openssl',
    'rootling ca path --client',
  ],
} as const satisfies CommandSpec

export const caShowSpec = {
  name: 'ca show',
  summary: 'Explain a scope’s root in plain words',
  positionals: '[SCOPE]',
  completes: ['scopes'],
  options: {},
  examples: ['rootling ca show', 'rootling ca show work'],
} as const satisfies CommandSpec

export const caDeleteSpec = {
  name: 'ca delete',
  summary: 'Uninstall everything and delete the CA, its keys and record',
  options: { force: forceOption, ...storeOptions },
  examples: ['rootling ca delete --yes'],
} as const satisfies CommandSpec
