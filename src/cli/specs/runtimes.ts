import type { CommandSpec } from '../command.ts'

export const runSpec = {
  name: 'run',
  summary: 'Run a command whose programs trust the CA',
  positionals: 'COMMAND…',
  completes: ['programs'],
  passesOn: true,
  options: {
    name: {
      type: 'string',
      placeholder: 'NAME',
      describe:
        'Also give its server a free port, by PORT or its option, and an HTTPS name while it runs: NAME.PROJECT.localhost',
    },
  },
  examples: [
    'rootling run -- npm test',
    'rootling run --name shop -- npm run dev',
    'rootling run -- python3 app.py',
    'rootling run -- curl https://localhost:8443/',
  ],
} as const satisfies CommandSpec

export const dockerSpec = {
  name: 'docker',
  summary: 'Print what containers need to trust the CA',
  positionals: '[NAME…]',
  options: {
    for: {
      type: 'string',
      choices: ['compose', 'devcontainer', 'dockerfile'] as const,
      describe: 'Only what this file needs',
    },
    service: {
      type: 'string',
      placeholder: 'NAME',
      describe: 'A service of the Compose file, repeatable; default: those of compose.yaml here',
      array: true,
    },
    image: {
      type: 'string',
      choices: ['debian', 'alpine', 'fedora', 'node', 'temurin', 'distroless'] as const,
      describe: 'The image that a Dockerfile begins with; default debian',
    },
  },
  examples: [
    'rootling docker shop.test',
    'rootling docker --for compose > compose.override.yaml',
    'rootling docker --for dockerfile --image alpine',
  ],
} as const satisfies CommandSpec

export const kubernetesSpec = {
  name: 'kubernetes',
  summary: 'Print a cert-manager issuer for a local cluster',
  options: {
    secret: {
      type: 'string',
      placeholder: 'SCOPE',
      completes: ['scopes'],
      describe: 'Sign in the cluster, with the key of this private scope; default: ask the daemon',
    },
    name: { type: 'string', placeholder: 'NAME', describe: 'Of the issuer; default rootling' },
    namespace: {
      type: 'string',
      placeholder: 'NS',
      describe: 'Where cert-manager reads Secrets; default cert-manager',
    },
    yes: {
      type: 'boolean',
      describe:
        'Print the key also on a terminal, into a file that others may read, or with unread stores',
      alias: 'y',
      needs: ['secret'],
    },
  },
  examples: [
    'rootling kubernetes | kubectl apply -f -',
    'rootling kubernetes --secret cluster | kubectl apply -f -',
  ],
} as const satisfies CommandSpec

export const envSpec = {
  name: 'env',
  summary: 'Print the variables by which programs trust the CA',
  options: {
    shell: {
      type: 'string',
      choices: [
        'bash',
        'zsh',
        'fish',
        'powershell',
        'dotenv',
        'json',
        'sh',
        'dash',
        'ash',
        'ksh',
        'mksh',
        'pwsh',
      ] as const,
      describe: 'Form of the output; default: of your shell',
      otherwise: 'In every shell: rootling run -- COMMAND',
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
