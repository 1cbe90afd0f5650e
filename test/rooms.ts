import { posix } from 'node:path'
import { parseAst } from 'rolldown/parseAst'

/**
 * A part of the source, which is called a room: a folder or single files, and what they may import.
 */
export interface Room {
  readonly name: string
  /**
   * The folders and files of the room. When a file fits several rooms, the longest path decides.
   */
  readonly paths: readonly string[]
  /**
   * The name of a room that this room may import from, together with everything that that room may.
   */
  readonly above?: string
  /** The other rooms that this room may import from, type imports included; `*`: every room. */
  readonly rooms: readonly string[]
  /** The packages that this room may import. */
  readonly packages?: readonly string[]
  /** Node's own modules that this room may import; absent: all. */
  readonly builtins?: readonly string[]
}

/**
 * The rooms, from the ground up. What a room does not name is refused, and a file in no room may
 * import nothing.
 */
export const rooms: readonly Room[] = [
  {
    name: 'ground',
    paths: [
      'src/arguments.ts',
      'src/bounded-json.ts',
      'src/complete-commands.ts',
      'src/errors.ts',
      'src/full-path.ts',
      'src/nearest.ts',
      'src/printable.ts',
      'src/retry-delay.ts',
      'src/shell-commands.ts',
      'src/shell-word.ts',
    ],
    rooms: [],
    builtins: [],
  },
  {
    name: 'x509',
    paths: ['src/x509'],
    rooms: ['ground'],
    packages: ['node-forge'],
    builtins: ['buffer', 'crypto', 'net', 'url', 'util'],
  },
  {
    name: 'files',
    paths: ['src/files'],
    // On Windows a secret must have its access list before it is written.
    rooms: ['ground', 'platform/acl'],
    packages: ['fs-native-extensions'],
  },
  { name: 'platform', paths: ['platform'], rooms: ['ground', 'platform/command', 'platform/acl'] },
  {
    name: 'platform/acl',
    paths: ['platform/windows/acl.ts', 'platform/windows/system-program.ts'],
    rooms: ['ground', 'platform/command'],
  },
  {
    name: 'platform/command',
    paths: ['platform/command.ts', 'platform/child.ts'],
    rooms: ['ground'],
    packages: ['execa'],
  },
  { name: 'server', paths: ['src/server'], rooms: ['ground', 'x509'] },
  { name: 'proxy', paths: ['src/proxy'], rooms: ['ground', 'x509', 'server'] },
  { name: 'client', paths: ['src/client'], rooms: ['ground', 'x509'] },
  { name: 'home', paths: ['src/home'], rooms: ['ground', 'files'], packages: ['env-paths'] },
  { name: 'storage', paths: ['src/storage'], rooms: ['ground', 'x509'] },
  {
    name: 'storage/files',
    paths: ['src/storage/files'],
    above: 'storage',
    rooms: ['files', 'home'],
  },
  {
    name: 'storage/postgres',
    paths: ['src/storage/postgres'],
    above: 'storage',
    rooms: ['files'],
    packages: ['pg'],
  },
  { name: 'authority', paths: ['src/authority'], above: 'storage/files', rooms: [] },
  { name: 'certificates', paths: ['src/certificates'], above: 'authority', rooms: [] },
  {
    name: 'routes',
    paths: ['src/proxy/routes.ts', 'src/proxy/kept-routes.ts', 'src/proxy/listens.ts'],
    above: 'authority',
    rooms: [],
  },
  {
    name: 'runtimes',
    paths: ['src/runtimes'],
    above: 'storage/files',
    rooms: ['platform', 'platform/command'],
  },
  { name: 'containers', paths: ['src/containers'], rooms: ['ground'], builtins: [] },
  // What uninstalls roots also takes them out of the files that variables name.
  {
    name: 'trust',
    paths: ['src/trust'],
    above: 'certificates',
    rooms: ['platform', 'runtimes'],
  },
  {
    name: 'sites',
    paths: ['src/sites'],
    above: 'certificates',
    rooms: ['server'],
    packages: ['send', '@scure/bip39', 'multicast-dns'],
  },
  // Vite itself is imported for its types alone.
  { name: 'vite', paths: ['src/vite'], above: 'sites', rooms: [], packages: ['vite'] },
  {
    name: 'acme',
    paths: ['src/acme'],
    above: 'certificates',
    rooms: ['server', 'storage/postgres'],
  },
  // A host name is checked as it is for a certificate.
  { name: 'hosts', paths: ['src/hosts'], above: 'files', rooms: ['platform', 'x509'] },
  {
    name: 'doctor',
    paths: ['src/doctor'],
    above: 'trust',
    // It runs the person's own runtimes, which are asked with the person's own variables, and says
    // what `up` would change, and whether the daemon has the ports that it was installed with.
    rooms: ['client', 'daemon/ports', 'hosts', 'platform/command', 'project', 'server'],
  },
  // It is the only room that reads a file which a stranger may have written in a repository.
  {
    name: 'project',
    paths: ['src/project'],
    above: 'trust',
    rooms: ['hosts', 'routes'],
    packages: ['jsonc-parser'],
  },
  // What doctor asks too: the services that run the daemon, and who has its ports.
  {
    name: 'daemon/ports',
    paths: [
      'src/daemon/service/port-holders.ts',
      'src/daemon/service/ports-units.ts',
      'src/daemon/service/ports.ts',
      'src/daemon/service/units.ts',
    ],
    rooms: ['ground', 'files', 'home', 'platform', 'server'],
  },
  {
    name: 'daemon',
    paths: ['src/daemon'],
    above: 'sites',
    rooms: ['acme', 'daemon/ports', 'platform', 'proxy', 'routes'],
  },
  {
    name: 'replica',
    paths: ['src/replica'],
    above: 'sites',
    rooms: ['acme', 'platform', 'platform/command', 'storage/postgres'],
  },
  // It holds all in memory; for children, it writes the files that variables name.
  {
    name: 'ephemeral',
    paths: ['src/ephemeral'],
    above: 'certificates',
    rooms: ['platform', 'runtimes'],
  },
  {
    name: 'library',
    paths: ['src/index.ts', 'src/library'],
    above: 'doctor',
    rooms: ['server'],
  },
  { name: 'cli', paths: ['src/cli'], rooms: ['*'], packages: ['yargs', '@clack/prompts', 'uqr'] },
]

const roomNamed = (name: string): Room | undefined => rooms.find((room) => room.name === name)

/** Returns the room of a file, given its path from the repository's root; `null`: it is in none. */
export function roomOf(file: string): Room | null {
  const fits = (path: string): boolean => file === path || file.startsWith(`${path}/`)
  const candidates = rooms.flatMap((room) =>
    room.paths.filter(fits).map((path) => ({ room, path })),
  )
  return candidates.toSorted((a, b) => b.path.length - a.path.length)[0]?.room ?? null
}

/** Returns the names of all other rooms that a room may import from. */
function allowed({ above, rooms: own }: Room): ReadonlySet<string> {
  if (own.includes('*')) return new Set(rooms.map(({ name }) => name))
  const inherited = above === undefined ? [] : [above, ...allowed(roomNamed(above) as Room)]
  return new Set([...own, ...inherited])
}

/**
 * The names that can load code which no import shows, with the only files that may use each: as a
 * member, in an import or as a text.
 */
const loaders: ReadonlyMap<unknown, readonly string[]> = new Map([
  // The lock loads a binary by its path, or SQLite where Node has it; Node 20 needs a hook to use
  // compiled code that was kept.
  ['node:module', ['src/cli/code-cache.ts', 'src/files/lock.ts', 'src/files/portable-lock.ts']],
  ['node:vm', ['src/cli/code-cache.ts']],
  // The cache of compiled code loads Node's modules synchronously, and only when it needs them; the
  // single executable has a module that older Nodes have not.
  ['getBuiltinModule', ['src/cli/code-cache.ts', 'src/files/packed.ts']],
  ['node:worker_threads', []],
  ['binding', []],
  ['_linkedBinding', []],
  // What it loads has no name.
  ['dlopen', ['src/files/packed.ts']],
])

/** A node of a syntax tree, with the properties that are read here. */
interface Node {
  readonly type?: string
  readonly name?: unknown
  readonly value?: unknown
  readonly arguments?: readonly Node[]
  readonly callee?: Node
  readonly expression?: Node
  readonly imported?: Node
  readonly key?: Node
  readonly local?: Node
  readonly object?: Node
  readonly property?: Node
  readonly source?: Node | null
}

/** Returns all nodes of a file, each before those inside it. */
function nodesOf(source: string): Node[] {
  const found: Node[] = []
  const visit = (node: unknown): void => {
    if (Array.isArray(node)) return node.forEach(visit)
    if (typeof node !== 'object' || node === null) return
    found.push(node)
    Object.values(node).forEach(visit)
  }
  visit(parseAst(source, { lang: 'ts' }).body)
  return found
}

/**
 * Returns the specifiers of everything that a file imports, in whatever way, type imports included.
 */
export function importsOf(source: string): string[] {
  return nodesOf(source).flatMap((node) => {
    const value = importedBy(node)?.value
    return typeof value === 'string' ? [value] : []
  })
}

/** Returns the node that says what a node imports, if it imports anything. */
function importedBy({ type, callee, arguments: args, expression, source }: Node) {
  if (type === 'CallExpression') {
    const made = callee?.callee?.name === 'createRequire'
    const name = String(callee?.name ?? callee?.property?.name)
    return made || /^require/i.test(name) ? args?.[0] : null
  }
  if (type === 'TSExternalModuleReference') return expression
  const imports =
    /^(?:Import(?:Declaration|Expression)|Export(?:Named|All)Declaration|TSImportType)$/
  return imports.test(String(type)) ? source : null
}

/** Returns what a file uses to load code which no import shows, and may not use. */
function loadersOf(file: string, source: string): string[] {
  const harmless = new Set<Node | undefined>()
  return nodesOf(source).flatMap((node) => {
    const { type, object, property, key, imported, local } = node
    if (type === 'ImportExpression' && typeof node.source?.value !== 'string')
      return ['import() of what is not a plain text']
    if (/^(?:dirname|filename)$/.test(String(property?.name))) harmless.add(object)
    // `import.meta.resolve` finds modules, and `import.meta.url` helps to load files by URL.
    if (type === 'MetaProperty' && !harmless.has(node))
      return ['more of import.meta than dirname and filename']
    const name = type === 'Literal' ? node.value : (property ?? key ?? imported ?? local)?.name
    return loaders.get(name)?.includes(file) === false ? [String(name)] : []
  })
}

/** Returns the files that are not read here, since their names do not end in `.ts`. */
export const unreadOf = (files: readonly string[]): string[] =>
  files.filter((file) => !file.endsWith('.ts'))

/**
 * Returns the path that a relative import leads to, from the repository's root; `null`: the import
 * is of a package or of one of Node's modules.
 */
const targetOf = (file: string, specifier: string): string | null =>
  specifier.startsWith('.') ? posix.join(posix.dirname(file), specifier) : null

/**
 * Returns one sentence for each import of a file, and for each other way to load code, that is not
 * allowed.
 */
export function breachesOf(file: string, source: string): string[] {
  const room = roomOf(file)
  const self = `${file} (${room?.name ?? 'no room'})`
  const imports = importsOf(source).flatMap((specifier) => {
    const refuse = (what: string): string => `${self} imports ${what}`
    const target = targetOf(file, specifier)
    if (target !== null) {
      const other = roomOf(target)?.name ?? 'no room'
      const fine = room !== null && (other === room.name || allowed(room).has(other))
      return fine ? [] : [refuse(`${target} (${other})`)]
    }
    if (specifier.startsWith('node:')) {
      const module = specifier.slice('node:'.length)
      const fine = room !== null && (room.builtins?.includes(module) ?? true)
      return fine ? [] : [refuse(specifier)]
    }
    const name = /^(?:@[^/]+\/)?[^/]+/.exec(specifier)?.[0] ?? specifier
    return room?.packages?.includes(name) === true ? [] : [refuse(`the package ${name}`)]
  })
  return [...imports, ...loadersOf(file, source).map((what) => `${self} uses ${what}`)]
}

/**
 * Returns the groups of files, or of rooms, that import each other in a circle; type imports count.
 */
export function circlesOf(
  sources: ReadonlyMap<string, string>,
  nodeOf: (file: string) => string,
): string[][] {
  const edges = new Map<string, Set<string>>()
  for (const [file, source] of sources)
    for (const specifier of importsOf(source)) {
      const target = targetOf(file, specifier)
      if (target === null || nodeOf(target) === nodeOf(file)) continue
      edges.set(nodeOf(file), (edges.get(nodeOf(file)) ?? new Set()).add(nodeOf(target)))
    }
  const reached = new Map([...edges.keys()].map((node) => [node, reach(node, edges)]))
  const circles = [...reached].map(([node, seen]) =>
    [...seen].filter((other) => reached.get(other)?.has(node) === true).toSorted(),
  )
  return [...new Map(circles.filter(({ length }) => length > 0).map((c) => [c.join(), c])).values()]
}

function reach(start: string, edges: ReadonlyMap<string, ReadonlySet<string>>): Set<string> {
  const seen = new Set<string>()
  const queue = [start]
  for (let node = queue.pop(); node !== undefined; node = queue.pop())
    for (const next of edges.get(node) ?? [])
      if (!seen.has(next)) {
        seen.add(next)
        queue.push(next)
      }
  return seen
}

/** Returns the table of the rooms as CONTRIBUTING.md shows it. */
export function roomsInMarkdown(): string {
  const code = (names: readonly string[]): string => names.map((name) => `\`${name}\``).join(', ')
  const rows = rooms.map(({ name, paths, above, rooms: own, packages = [], builtins }) => {
    const reaches = own.includes('*') ? 'every room; no other imports it' : code(own)
    const inherited = above === undefined ? '' : `\`${above}\` and what it may`
    const may = [inherited, reaches].filter((text) => text !== '').join('; ') || '–'
    const modules = builtins === undefined ? '' : `of Node’s own ${code(builtins) || 'none'}`
    const others = [code(packages), modules].filter((text) => text !== '').join('; ')
    return `| ${name} | ${code(paths)} | ${may} | ${others} |`
  })
  return ['| room | where | may import | packages |', '|---|---|---|---|', ...rows].join('\n')
}
