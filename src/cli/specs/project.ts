import type { CommandSpec } from '../command.ts'
import { storeOptions } from './shared.ts'

export const upSpec = {
  name: 'up',
  summary: 'Make this machine what rootling.json says',
  options: {
    check: {
      type: 'boolean',
      describe: 'Change nothing; exit code 4 where something would be changed',
      excludes: ['dry-run'],
    },
    allow: {
      type: 'string',
      placeholder: 'LIST',
      describe: 'Approve what the file asks for: run,trust,permit,hosts,proxy; trust:FINGERPRINT',
    },
    ...storeOptions,
    yes: {
      ...storeOptions.yes,
      describe: 'Ask nothing, agree to everything but what needs --allow',
    },
  },
  examples: [
    'rootling up',
    'rootling up --dry-run',
    'rootling up --check --json',
    'rootling up --yes --allow permit,hosts',
  ],
} as const satisfies CommandSpec

export const downSpec = {
  name: 'down',
  summary: 'Take back what up did for this project',
  options: {
    files: { type: 'boolean', describe: 'Delete its certificates and keys too' },
    gone: {
      type: 'boolean',
      describe: 'Instead for all projects whose directories were deleted or moved',
      excludes: ['files'],
    },
    ...storeOptions,
  },
  examples: [
    'rootling down',
    'rootling down --files',
    'rootling down --dry-run',
    'rootling down --gone',
  ],
} as const satisfies CommandSpec

export const initSpec = {
  name: 'init',
  summary: 'Write a rootling.json for this project',
  options: {
    yes: {
      type: 'boolean',
      describe: 'Ask nothing, write what the files of the project let guess',
      alias: 'y',
    },
  },
  examples: ['rootling init', 'rootling init --yes'],
} as const satisfies CommandSpec

export const schemaSpec = {
  name: 'schema',
  summary: 'Print the JSON Schema of rootling.json',
  options: {},
  examples: ['rootling schema'],
} as const satisfies CommandSpec
