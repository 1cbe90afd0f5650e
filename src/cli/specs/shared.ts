import type { CommandSpec } from '../command.ts'

export const keyTypes = ['p256', 'p384', 'rsa2048', 'rsa3072', 'rsa4096', 'ed25519'] as const

export const storeOptions = {
  stores: {
    type: 'string',
    placeholder: 'LIST',
    describe: 'Only these kinds of stores: system,nss,java',
  },
  'store-scope': {
    type: 'string',
    choices: ['user', 'system'] as const,
    describe: 'macOS and Windows: for you alone, or for every user',
    hidden: ['scope'],
  },
  'java-storepass-file': {
    type: 'string',
    placeholder: 'F',
    describe: 'Its first line is the password of Java’s keystores, if not changeit',
  },
  'dry-run': { type: 'boolean', describe: 'Print what would be done, change nothing' },
  yes: { type: 'boolean', describe: 'Ask nothing, agree to everything', alias: 'y' },
  'no-sudo': { type: 'boolean', describe: 'Never use sudo; what needs root is left undone' },
} as const satisfies CommandSpec['options']

/** `--stores` of the commands that can also make a scope alone. */
export const orNone = {
  ...storeOptions.stores,
  describe: `${storeOptions.stores.describe}; or none`,
} as const

export const forceOption = {
  type: 'boolean',
  describe: 'Delete also where a store may still hold the root',
} as const

export const permitOptions = {
  unconstrained: { type: 'boolean', describe: 'A scope that may sign any name, as mkcert’s root' },
  force: { type: 'boolean', describe: 'Permit a whole top-level domain too' },
} as const satisfies CommandSpec['options']

export const passwordOptions = {
  password: {
    type: 'string',
    placeholder: 'P',
    describe: 'For --pkcs12 (default: a random one) and --encrypt-key; others may see it',
    needs: ['pkcs12', 'p12-file', 'legacy-pkcs12', 'encrypt-key'],
    excludes: ['password-file'],
  },
  'password-file': {
    type: 'string',
    placeholder: 'F',
    describe: 'Its first line is the password; a pipe, or - for standard input',
    needs: ['pkcs12', 'p12-file', 'legacy-pkcs12', 'encrypt-key'],
  },
} as const satisfies CommandSpec['options']
