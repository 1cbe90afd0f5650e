import { readdirSync } from 'node:fs'
import { basename, join } from 'node:path'
import { parseBoundedJson } from '../bounded-json.ts'
import { readText } from '../files/read.ts'
import { parseIdentifier } from '../x509/identifier.ts'
import { localConstraints, permits } from '../x509/name-constraints.ts'
import { composeFiles, publishedSites } from './compose.ts'
import { workspacesOf } from './workspaces.ts'

/** What a project seems to need, read from its files; nothing of the project is run. */
export interface Guess {
  /** The first words of the names of its files, such as `shop`. */
  readonly base: string
  /** Host names and addresses for its certificate: those of this machine, then those found. */
  readonly names: readonly string[]
  /** Which local server answers for which of the names: a port, or the origin of an HTTPS server. */
  readonly routes: ReadonlyMap<string, number | string>
  /** What was found where, for people, such as `Vite (vite.config.ts)`. */
  readonly found: readonly string[]
  /** Whether package.json asks for Rootling, so that its schema is in node_modules. */
  readonly hasPackage: boolean
}

interface Tool {
  readonly title: string
  /** The files of which one must be there, from the project's directory. */
  readonly files: readonly string[]
  /** The packages in package.json that say the same; none: the file alone decides. */
  readonly packages?: readonly string[]
  /** Where in the file host names are; each matches one or several in quotes or after a mark. */
  readonly hosts: readonly RegExp[]
}

const extensions = ['ts', 'js', 'mts', 'mjs', 'cts', 'cjs']
const configOf = (name: string): string[] => extensions.map((end) => `${name}.config.${end}`)

/** A key with a text or a list of texts, in JavaScript. */
const keyed = (key: string): RegExp =>
  new RegExp(`\\b${key}\\s*:\\s*(\\[[^\\]]{0,2000}\\]|(['"\`])[^'"\`\\n]{1,200}\\2)`, 'g')

/** The tools that are known, one a row. */
const tools: readonly Tool[] = [
  {
    title: 'Compose',
    files: composeFiles,
    // Traefik's labels, Caddy's label, the variable of nginx-proxy, and aliases of a network.
    hosts: [
      /Host\(([^)\n]{1,500})\)/g,
      /^[ \t]*(?:-[ \t]*)?caddy[ \t]*[:=][ \t]*(.{1,200})$/gm,
      /\bVIRTUAL_HOST[ \t]*[:=][ \t]*(.{1,200})$/gm,
    ],
  },
  {
    title: 'Vite',
    files: configOf('vite'),
    packages: ['vite'],
    hosts: [keyed('allowedHosts'), keyed('host'), keyed('origin')],
  },
  {
    title: 'Next',
    files: configOf('next'),
    packages: ['next'],
    hosts: [keyed('allowedDevOrigins')],
  },
  {
    title: 'Laravel',
    files: ['artisan'],
    hosts: [],
  },
  {
    title: 'variables',
    files: ['.env.example', '.env.dist', '.env.development'],
    hosts: [/^(?:\w+_)?(?:URL|HOST|DOMAIN|ORIGIN)[ \t]*=[ \t]*(.{1,200})$/gm],
  },
  {
    title: 'Django',
    files: ['manage.py'],
    hosts: [],
  },
  {
    title: 'Rails',
    files: ['config/environments/development.rb'],
    hosts: [/^[ \t]*config\.hosts[ \t]*(?:<<|\+?=)[ \t]*(.{1,500})$/gm],
  },
]

/** In octets; a file of settings is far smaller. */
const longest = 256 * 1024

/**
 * Guesses what rootling.json should hold from the files in a directory, and in the packages of a
 * monorepo whose root it is. Reads no more than some dozens of files in each, as text.
 */
export async function guessProject(directory: string): Promise<Guess> {
  const manifest = await manifestIn(directory)
  const base = baseOf(manifest.name ?? basename(directory))
  const clues = [await cluesIn(directory, manifest, base)]
  for (const path of await workspacesOf(directory)) {
    const inside = join(directory, path)
    const { found, ...others } = await cluesIn(inside, await manifestIn(inside), base)
    clues.push({ ...others, found: found.map((each) => each.replace('(', `(${path}/`)) })
  }
  const routes = new Map(clues.toReversed().flatMap((each) => [...each.routes]))
  const names = [
    'localhost',
    '127.0.0.1',
    '::1',
    ...clues.flatMap(({ hosts }) => hosts),
    ...routes.keys(),
  ]
  return {
    base,
    names: [...new Set(names)].slice(0, 50),
    routes,
    found: clues.flatMap(({ found }) => found),
    hasPackage: manifest.packages.has('rootling'),
  }
}

/** What the files of one directory say. */
interface Clues extends Pick<Guess, 'routes' | 'found'> {
  readonly hosts: readonly string[]
}

async function cluesIn(directory: string, manifest: Manifest, base: string): Promise<Clues> {
  const found: string[] = []
  const hosts: string[] = []
  const routes = new Map<string, number | string>()
  for (const { title, files, packages = [], hosts: patterns } of tools) {
    const texts = await textsOf(directory, files)
    const file = texts[0]?.name
    const named = packages.find((name) => manifest.packages.has(name))
    if (file === undefined && named === undefined) continue
    found.push(`${title} (${file ?? 'package.json'})`)
    hosts.push(...texts.flatMap(({ text }) => hostsIn(text, patterns)))
    if (title === 'Compose')
      for (const { service, port, secure } of publishedSites(texts[0]?.text ?? ''))
        routes.set(
          `${baseOf(service)}.${base}.localhost`,
          secure ? `https://127.0.0.1:${port}` : port,
        )
  }
  for (const { name, text } of await textsOf(directory, settingsOfDjango(directory))) {
    const listed = hostsIn(text, [/^ALLOWED_HOSTS\s*=\s*\[([^\]]{0,2000})\]/gm])
    if (listed.length > 0) found.push(`Django (${name})`)
    hosts.push(...listed)
  }
  return { hosts, routes, found }
}

interface Manifest {
  readonly name: string | null
  readonly packages: ReadonlySet<string>
}

async function manifestIn(directory: string): Promise<Manifest> {
  const [file] = await textsOf(directory, ['package.json'])
  try {
    const value = parseBoundedJson(file?.text ?? '{}') as Record<string, unknown>
    const packages = ['dependencies', 'devDependencies'].flatMap((key) =>
      Object.keys((value[key] as object | undefined) ?? {}),
    )
    const { name } = value
    return { name: typeof name === 'string' ? name : null, packages: new Set(packages) }
  } catch {
    return { name: null, packages: new Set() }
  }
}

async function textsOf(directory: string, names: readonly string[]) {
  const texts: { readonly name: string; readonly text: string }[] = []
  for (const name of names) {
    // What is a link, too large or no file is not read.
    const text = await readText(join(directory, name), longest).catch(() => null)
    if (text !== null) texts.push({ name, text })
  }
  return texts
}

/** The settings of Django are in a package beside manage.py. */
function settingsOfDjango(directory: string): string[] {
  const entries = readdirSync(directory, { withFileTypes: true })
  if (!entries.some(({ name }) => name === 'manage.py')) return []
  const packages = entries.filter((entry) => entry.isDirectory() && /^\w+$/.test(entry.name))
  return packages.slice(0, 20).map(({ name }) => `${name}/settings.py`)
}

/** Returns the local host names in what the patterns find; others need more than a guess. */
function hostsIn(text: string, patterns: readonly RegExp[]): string[] {
  const words = patterns
    .flatMap((pattern) => [...text.matchAll(pattern)].map((match) => match[1] ?? ''))
    .flatMap((part) => part.split(/[\s,;"'`[\]()|]+/))
  return words
    .map((word) => word.replace(/^[a-z]+:\/\//i, '').replace(/[:/].*$/, ''))
    .map((word) => (word.startsWith('.') ? `*${word}` : word))
    .filter(isLocalHost)
    .map((word) => parseIdentifier(word).value)
}

function isLocalHost(word: string): boolean {
  // A wildcard under a top-level name is refused by browsers.
  if (!/^(?:\*\.)?[^.*][^*]*\.[a-z]/i.test(word)) return false
  try {
    const identifier = parseIdentifier(word)
    return identifier.type === 'dns' && permits(localConstraints, identifier)
  } catch {
    return false
  }
}

const baseOf = (name: string): string =>
  name
    .replace(/^@[^/]*\//, '')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 40) || 'site'
