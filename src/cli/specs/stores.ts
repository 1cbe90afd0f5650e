import type { CommandSpec } from '../command.ts'
import { forceOption, orNone, permitOptions, storeOptions } from './shared.ts'

export const installSpec = {
  name: 'install',
  summary: 'Make the local CA if needed, and trust it',
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
    harden: {
      type: 'boolean',
      describe: 'Debian 12, 13: let OpenSSL, curl, Node … take no common name for a host',
    },
    ...storeOptions,
    stores: orNone,
  },
  examples: [
    'rootling install',
    'rootling install --yes --json',
    'rootling install --dry-run',
    'rootling install --stores none',
  ],
} as const satisfies CommandSpec

export const uninstallSpec = {
  name: 'uninstall',
  summary: 'Take the local CA out of every trust store',
  options: {
    'delete-ca': { type: 'boolean', describe: 'Delete the CA, its keys and its record too' },
    force: forceOption,
    all: { type: 'boolean', describe: 'Also roots of other Rootling authorities found here' },
    ...storeOptions,
  },
  examples: ['rootling uninstall', 'rootling uninstall --delete-ca --yes'],
} as const satisfies CommandSpec

export const statusSpec = {
  name: 'status',
  summary: 'Ask each trust store whether it trusts the local CA',
  options: {
    stores: storeOptions.stores,
    'java-storepass-file': storeOptions['java-storepass-file'],
  },
  examples: ['rootling status', 'rootling status --json'],
} as const satisfies CommandSpec

export const doctorSpec = {
  name: 'doctor',
  summary: 'Find out why something does not trust the local CA',
  positionals: '[URL…]',
  options: {
    fix: { type: 'boolean', describe: 'Mend what can be mended safely' },
    runtimes: {
      type: 'boolean',
      describe: 'Also run Node, Python, curl … to see what they trust; takes seconds',
    },
    stores: storeOptions.stores,
    'java-storepass-file': storeOptions['java-storepass-file'],
    yes: { ...storeOptions.yes, needs: ['fix'] },
    'no-sudo': { ...storeOptions['no-sudo'], needs: ['fix'] },
  },
  examples: ['rootling doctor', 'rootling doctor https://localhost:8443', 'rootling doctor --fix'],
} as const satisfies CommandSpec

export const trustSpec = {
  name: 'trust',
  summary: 'Trust a teammate’s root, checked by its fingerprint',
  positionals: 'FILE|URL',
  completes: ['files'],
  options: {
    fingerprint: {
      type: 'string',
      placeholder: 'SHA256',
      describe: 'SHA-256 fingerprint of the root; required without a terminal',
    },
    name: {
      type: 'string',
      placeholder: 'LABEL',
      describe: 'What to call it; default: its common name',
    },
    unconstrained: {
      type: 'boolean',
      describe: 'Also a root that may sign any host name or any IP address',
    },
    ...storeOptions,
    stores: { ...storeOptions.stores, describe: `${storeOptions.stores.describe}; java only so` },
  },
  examples: ['rootling trust ada-root.pem --fingerprint 84595e78…'],
} as const satisfies CommandSpec

export const untrustSpec = {
  name: 'untrust',
  summary: 'Take a teammate’s root out of the trust stores again',
  positionals: 'NAME|FINGERPRINT',
  completes: ['roots'],
  options: storeOptions,
  examples: ['rootling untrust ada', 'rootling untrust 84595e78…'],
} as const satisfies CommandSpec

export const installClientSpec = {
  name: 'install-client',
  summary: 'Give the browsers a client certificate (.p12)',
  positionals: 'FILE|USER',
  completes: ['clients', 'files'],
  options: {
    'password-file': {
      type: 'string',
      placeholder: 'F',
      describe: 'Its first line is the password; default: the one kept by issue, or asked for',
    },
    name: {
      type: 'string',
      placeholder: 'NICK',
      describe: 'What browsers call it',
      excludes: ['remove'],
    },
    remove: { type: 'boolean', describe: 'Remove it again; FILE may be the .pem too' },
    'dry-run': storeOptions['dry-run'],
  },
  examples: [
    'rootling issue --client alice@example.test --pkcs12',
    'rootling install-client alice@example.test',
    'rootling install-client bob.p12 --password-file password.txt',
    'rootling install-client --remove alice@example.test-client.pem',
  ],
} as const satisfies CommandSpec
