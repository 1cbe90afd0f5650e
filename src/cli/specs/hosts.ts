import type { CommandSpec } from '../command.ts'
import { storeOptions } from './shared.ts'

const changeOptions = {
  yes: storeOptions.yes,
  'dry-run': { type: 'boolean', describe: 'Print the lines, change nothing' },
  'no-sudo': { ...storeOptions['no-sudo'], describe: 'Never use sudo' },
} as const satisfies CommandSpec['options']

export const hostsAddSpec = {
  name: 'hosts add',
  summary: 'Make this machine find names, by lines in its hosts file',
  positionals: 'NAME…',
  options: {
    address: {
      type: 'string',
      array: true,
      placeholder: 'IP',
      describe: 'Where they lead; default: this machine, 127.0.0.1 and ::1',
    },
    force: { type: 'boolean', describe: 'Also names that are somebody’s on the internet' },
    ...changeOptions,
  },
  examples: [
    'rootling hosts add shop.test api.shop.test',
    'rootling hosts add shop.test --dry-run',
  ],
} as const satisfies CommandSpec

export const hostsRemoveSpec = {
  name: 'hosts remove',
  summary: 'Take such lines out again',
  positionals: '[NAME…]',
  completes: ['hosts'],
  options: {
    all: { type: 'boolean', describe: 'All of yours' },
    ...changeOptions,
  },
  examples: ['rootling hosts remove shop.test', 'rootling hosts remove --all'],
} as const satisfies CommandSpec

export const hostsListSpec = {
  name: 'hosts list',
  summary: 'Show the lines that Rootling added, and for whom',
  options: {},
  examples: ['rootling hosts list', 'rootling hosts list --json'],
} as const satisfies CommandSpec
