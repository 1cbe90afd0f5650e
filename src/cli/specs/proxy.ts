import type { CommandSpec } from '../command.ts'

const place = {
  path: {
    type: 'string',
    placeholder: 'PATH',
    describe: 'Only paths that begin with it, such as /api; default: all',
  },
  default: { type: 'boolean', describe: 'Every name that no other route is for' },
} as const satisfies CommandSpec['options']

export const proxyAddSpec = {
  name: 'proxy add',
  summary: 'Give a local server an HTTPS name',
  positionals: '[NAME] [PORT]',
  options: {
    to: {
      type: 'string',
      placeholder: 'URL',
      describe: 'In place of PORT: http://…, https://… or h2c://… (HTTP/2 without TLS)',
    },
    ...place,
    'change-origin': {
      type: 'boolean',
      describe: 'Ask the server by its own name, for one that refuses others',
    },
  },
  examples: [
    'rootling proxy add shop.localhost 3000',
    'rootling proxy add shop.localhost 4000 --path /api',
    "rootling proxy add '*.shop.localhost' 3000",
    'rootling proxy add docs.test --to https://docs.example --change-origin',
  ],
} as const satisfies CommandSpec

export const proxyRemoveSpec = {
  name: 'proxy remove',
  summary: 'Take such a name back',
  positionals: '[NAME]',
  completes: ['routes'],
  options: {
    path: { ...place.path, describe: 'Only the route for this path; default: all of the name' },
    default: { ...place.default, describe: 'The route for every other name' },
  },
  examples: ['rootling proxy remove shop.localhost', 'rootling proxy remove --default'],
} as const satisfies CommandSpec

export const proxyListSpec = {
  name: 'proxy list',
  summary: 'Show the names, and whether their servers listen',
  options: {},
  examples: ['rootling proxy list', 'rootling proxy list --json'],
} as const satisfies CommandSpec

export const dashboardSpec = {
  name: 'dashboard',
  summary: 'See routes, certificates and stores in a browser',
  options: {},
  examples: ['rootling dashboard'],
} as const satisfies CommandSpec
