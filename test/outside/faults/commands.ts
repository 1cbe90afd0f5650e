import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { issue } from '../../../src/certificates/issue.ts'
import { ensureAuthority, permitScope } from '../../../src/authority/create.ts'
import { readRoutes, setProjectRoutes } from '../../../src/proxy/kept-routes.ts'
import type { Route } from '../../../src/proxy/routes.ts'
import { issued, linesOf, revoked } from '../../helpers/filled-record.ts'
import { run } from '../../helpers/subprocess.ts'
import type { Bundle } from '../crash/processes.ts'
import { mkcertLine, rootlingLine, type World } from './world.ts'

/** A command to be disturbed, in a world of its own. */
export interface Subject {
  readonly title: string
  /** Makes what it works on. */
  readonly prepare: (world: World) => Promise<void>
  readonly line: (world: World, bundle: Bundle) => readonly string[]
  /** What must hold once it has been run to its end; sentences about what does not. */
  readonly done: (world: World) => Promise<string[]>
}

const stateOf = ({ state }: World) => ({ path: state, owner: null })
const nothing = async (): Promise<string[]> => []

async function withCertificates(world: World): Promise<void> {
  const now = new Date()
  await ensureAuthority(stateOf(world), now)
  for (const names of [['localhost'], ['shop.test', '127.0.0.1']])
    await issue(stateOf(world), { names, files: { outDir: world.out } }, now)
}

const child =
  (...words: string[]) =>
  ({ state, out }: World, { path }: Bundle): string[] => [
    process.execPath,
    path,
    ...words,
    '--state',
    state,
    '--out',
    out,
  ]

/** What changes the state, each in the shape in which it touches no trust store. */
export const subjects: readonly Subject[] = [
  { title: 'create', prepare: async () => undefined, line: mkcertLine, done: nothing },
  {
    title: 'permit',
    prepare: withCertificates,
    line: child('permit', 'dev.example.com'),
    done: async (world) => onlyScopes(world, ['dev-example-com', 'local']),
  },
  {
    title: 'client',
    prepare: withCertificates,
    line: ({ out }) => rootlingLine(['issue', '--client', 'alice', '--out-dir', out]),
    done: async (world) => onlyScopes(world, ['clients', 'local']),
  },
  {
    title: 'private',
    prepare: withCertificates,
    line: () => rootlingLine(['ca', 'permit', '--private', 'vpn']),
    done: async (world) => onlyScopes(world, ['local', 'vpn']),
  },
  {
    title: 'issue',
    prepare: withCertificates,
    line: ({ out }) => rootlingLine(['issue', 'localhost', '--full', '--out-dir', out]),
    done: nothing,
  },
  {
    title: 'carry over',
    prepare: async (world) => {
      await withCertificates(world)
      rmSync(join(world.state, 'version'))
    },
    line: ({ out }) => rootlingLine(['issue', 'localhost', '--full', '--out-dir', out]),
    done: async ({ state }) =>
      readFileSync(join(state, 'version'), 'utf8') === '3\n' ? [] : ['it has no version'],
  },
  {
    title: 'renew',
    prepare: withCertificates,
    line: () => rootlingLine(['renew', '--all']),
    done: nothing,
  },
  {
    title: 'rekey',
    prepare: withCertificates,
    line: () => rootlingLine(['renew', '--all', '--rekey']),
    done: nothing,
  },
  {
    title: 'rotate',
    prepare: withCertificates,
    line: child('rotate'),
    done: async (world) => onlyScopes(world, ['local']),
  },
  {
    title: 'harden',
    prepare: withCertificates,
    line: child('harden'),
    done: async (world) => onlyScopes(world, ['local']),
  },
  {
    title: 'revoke',
    prepare: withCertificates,
    line: ({ out }) => rootlingLine(['revoke', join(out, 'localhost.pem')]),
    done: async (world) => (recordOf(world).includes('"revoked"') ? [] : ['nothing is revoked']),
  },
  {
    title: 'forget certificates',
    prepare: async (world) => {
      await withCertificates(world)
      for (const name of ['localhost.pem', 'localhost-key.pem']) rmSync(join(world.out, name))
    },
    line: () => rootlingLine(['forget', '--all']),
    done: async (world) =>
      recordOf(world).includes('"forgotten"') ? [] : ['nothing is forgotten'],
  },
  {
    title: 'compact',
    prepare: async (world) => {
      await withCertificates(world)
      const ended = { notBefore: '2020-01-01T00:00:00.000Z', notAfter: '2020-02-01T00:00:00.000Z' }
      // The two certificates are more than a sixteenth, as the clock's check asks.
      const old = Array.from({ length: 20 }, (_, i) => issued(i, { ...ended, certPath: null }))
      const path = join(world.state, 'certificates.jsonl')
      writeFileSync(path, `${linesOf([...old, revoked(3)])}${recordOf(world)}`)
    },
    line: child('compact'),
    done: async (world) => {
      const lines = recordOf(world).split('\n').slice(0, -1)
      return lines.length === 2 ? [] : [`the record has ${lines.length} lines`]
    },
  },
  {
    title: 'crl',
    prepare: withCertificates,
    line: ({ out }) => rootlingLine(['crl', '--out', join(out, 'local.crl')]),
    done: nothing,
  },
  {
    title: 'env',
    prepare: withCertificates,
    line: () => rootlingLine(['env', '--replace', '--shell', 'json']),
    done: nothing,
  },
  {
    title: 'forget',
    prepare: withCertificates,
    line: child('forget', 'local'),
    done: async (world) => onlyScopes(world, []),
  },
  {
    title: 'route',
    prepare: async (world) => {
      await withCertificates(world)
      await setProjectRoutes(stateOf(world), '/shop', [routeOf('shop.localhost')])
    },
    line: () => rootlingLine(['proxy', 'remove', 'shop.localhost']),
    done: async (world) => {
      const routes = await readRoutes(stateOf(world))
      return routes.map(({ host }) => `the route of ${host} is left`)
    },
  },
  {
    title: 'up',
    prepare: async ({ out }) => makeProject(out),
    line: (world) => projectLine(world, ['up', '--yes', '--allow=permit', '--stores=none']),
    done: async ({ out, state }) => {
      const left = projectFiles.filter((name) => !existsSync(join(out, name)))
      return [...left.map((name) => `${name} was not made`), ...onlyScopesIn(state)]
    },
  },
  {
    title: 'down',
    prepare: async (world) => {
      makeProject(world.out)
      const [program = '', ...args] = projectLine(world, [
        'up',
        '--yes',
        '--allow=permit',
        '--stores=none',
      ])
      await run(program, args, world.env)
    },
    line: (world) => projectLine(world, ['down', '--files', '--stores=java', '--no-sudo']),
    done: async ({ out, state }) => {
      const left = ['.certs/a.pem', '.certs/a-key.pem', '.env.rootling'].filter((name) =>
        existsSync(join(out, name)),
      )
      const remembered = readdirSync(join(state, 'projects'))
      return [...left, ...remembered].map((name) => `${name} is left`)
    },
  },
  {
    title: 'delete',
    prepare: withForeignFile,
    line: child('delete'),
    done: async (world) =>
      treeOf(world.state).join() === foreign.join() ? [] : treeOf(world.state),
  },
]

const routeOf = (host: string): Route => ({
  host,
  path: '/',
  to: 'http://localhost:3000',
  changeOrigin: false,
  owner: { kind: 'project', project: '/shop' },
})

const projectFiles = ['.certs/a.pem', '.certs/a-key.pem', '.env.rootling', '.gitignore']

/** Makes a repository whose rootling.json asks for all that touches no trust store. */
function makeProject(directory: string): void {
  mkdirSync(join(directory, '.git'))
  const project = {
    version: 1,
    certificates: [{ names: ['shop.test'], cert: '.certs/a.pem', key: '.certs/a-key.pem' }],
    permit: ['dev.example.com'],
    env: { file: '.env.rootling' },
  }
  writeFileSync(join(directory, 'rootling.json'), JSON.stringify(project))
}

const projectLine = ({ out }: World, args: readonly string[]): string[] => [
  'env',
  `--chdir=${out}`,
  ...rootlingLine(args),
]

const onlyScopesIn = (state: string): string[] =>
  readdirSync(join(state, 'scopes')).toSorted().join() === 'dev-example-com,local'
    ? []
    : ['the scopes are others']

const foreign = ['scopes', 'scopes/local', 'scopes/local/notes.txt']

async function withForeignFile(world: World): Promise<void> {
  const now = new Date()
  await ensureAuthority(stateOf(world), now)
  await permitScope(stateOf(world), { permit: ['dev.example.com'] }, now)
  await issue(stateOf(world), { names: ['localhost'], files: null }, now)
  writeFileSync(join(world.state, 'scopes/local/notes.txt'), 'precious')
}

// What is done after the deletion takes the lock again.
const treeOf = (path: string): string[] =>
  readdirSync(path, { recursive: true, encoding: 'utf8' })
    .filter((name) => name !== 'lock' && name !== 'version')
    .toSorted()

function onlyScopes({ state }: World, names: readonly string[]): string[] {
  const found = readdirSync(join(state, 'scopes')).toSorted()
  return found.join() === names.join() ? [] : [`the scopes are ${found.join()}`]
}

const recordOf = ({ state }: World): string =>
  readFileSync(join(state, 'certificates.jsonl'), 'utf8')
