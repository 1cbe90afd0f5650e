import type { CommandSpec } from '../command.ts'

export const runSpec = {
  name: 'run',
  summary: 'Run a command whose programs trust the CA',
  positionals: 'COMMAND…',
  passesOn: true,
  options: {},
  examples: [
    'rootling run -- npm test',
    'rootling run -- python3 app.py',
    'rootling run -- curl https://localhost:8443/',
  ],
} as const satisfies CommandSpec

export const envSpec = {
  name: 'env',
  summary: 'Print the variables by which programs trust the CA',
  options: {
    shell: {
      type: 'string',
      choices: ['bash', 'zsh', 'fish', 'powershell', 'dotenv', 'json'] as const,
      describe: 'Form of the output; default: of your shell',
    },
    replace: {
      type: 'boolean',
      describe: 'Also those that take the place of all other roots, as run sets them',
    },
    unset: { type: 'boolean', describe: 'Take them back', excludes: ['replace'] },
  },
  examples: [
    'eval "$(rootling env)"',
    'rootling env --shell fish | source',
    'rootling env --shell dotenv > .env.rootling',
    'eval "$(rootling env --unset)"',
  ],
} as const satisfies CommandSpec
