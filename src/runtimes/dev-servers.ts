import { basename, join } from 'node:path'
import { parseBoundedJson } from '../bounded-json.ts'
import { readText } from '../files/read.ts'

/** A program that serves an app, and that is told its port by an option in place of PORT. */
interface DevServer {
  /** What it is called, without the path and the ending. */
  readonly programs: readonly string[]
  /** The words behind it with which it serves; empty: it does so without any. */
  readonly commands: readonly string[]
  /** How a person gives the port; the first is the one that is added. */
  readonly options: readonly string[]
  /** Further words, such as those without which it takes another port where this one is taken. */
  readonly more?: readonly string[]
}

/** Otherwise the page asks for updates at the server's own port, past the proxy. */
const webSocketOfPage = ['--client-web-socket-url', 'auto://0.0.0.0:0/ws']

const long = ['--port', '-p']

/**
 * The programs whose option for the port is known, from the documentation of each. Those that read PORT
 * need no row, such as Create React App, Express's generator and Rails.
 */
const devServers: readonly DevServer[] = [
  {
    programs: ['vite'],
    commands: ['', 'dev', 'serve', 'preview'],
    options: ['--port'],
    more: ['--strictPort'],
  },
  { programs: ['next'], commands: ['dev', 'start'], options: ['-p', '--port'] },
  { programs: ['nuxt', 'nuxi'], commands: ['dev', 'preview'], options: long },
  { programs: ['astro'], commands: ['dev', 'preview'], options: ['--port'] },
  { programs: ['ng'], commands: ['serve', 's', 'dev'], options: ['--port'] },
  { programs: ['react-router'], commands: ['dev'], options: ['--port'] },
  { programs: ['remix'], commands: ['vite:dev', 'dev'], options: ['--port'] },
  { programs: ['vue-cli-service'], commands: ['serve'], options: ['--port'] },
  { programs: ['vitepress'], commands: ['dev', 'preview'], options: ['--port'] },
  { programs: ['docusaurus'], commands: ['start', 'serve'], options: long },
  { programs: ['gatsby'], commands: ['develop', 'serve'], options: long },
  { programs: ['storybook'], commands: ['dev'], options: ['-p', '--port'] },
  {
    programs: ['webpack'],
    commands: ['serve', 's', 'server'],
    options: ['--port'],
    more: webSocketOfPage,
  },
  {
    programs: ['webpack-dev-server'],
    commands: [''],
    options: ['--port'],
    more: webSocketOfPage,
  },
  { programs: ['rsbuild'], commands: ['', 'dev', 'preview'], options: ['--port'] },
  { programs: ['rspack'], commands: ['serve', 's', 'dev'], options: ['--port'] },
  { programs: ['wrangler'], commands: ['dev'], options: ['--port'] },
  { programs: ['expo'], commands: ['start'], options: long },
  { programs: ['flask'], commands: ['run'], options: long },
  { programs: ['php'], commands: ['artisan serve'], options: ['--port'] },
]

/** How the port reaches a dev server. */
export interface PortArguments {
  /** The words to add behind the command's own; empty: PORT alone tells it. */
  readonly added: readonly string[]
  /** The port that the command's line or its script has already; `null`: none. */
  readonly given: number | null
}

const none: PortArguments = { added: [], given: null }

/** How deep scripts may call each other. */
const deepest = 4

/**
 * Finds out by which words a command takes a port: one of the table, also where it is run by npx and
 * such, or by a script of the package.json in `cwd`. A command or a script that is not understood gets
 * none. Reads one file, and runs nothing.
 */
export async function portArguments(
  words: readonly string[],
  cwd: string,
  port: number,
): Promise<PortArguments> {
  const scripts = await scriptsIn(cwd)
  return argumentsOf(words, { scripts, port, depth: 0 })
}

interface Looking {
  readonly scripts: ReadonlyMap<string, string>
  readonly port: number
  readonly depth: number
}

function argumentsOf(words: readonly string[], looking: Looking): PortArguments {
  const [program = '', ...rest] = words
  const name = basename(program).replace(/\.(?:cmd|exe|ps1|[cm]?js)$/i, '')
  const inner = innerCommand(name, rest, looking.scripts)
  if (inner === null) return ofProgram(name, rest, looking.port)
  if ('words' in inner) return argumentsOf(inner.words, looking)
  const script = looking.depth < deepest ? lastCommand(inner.script) : null
  if (script === null) return none
  // What follows the name of a script is added to the script.
  const all = [...script, ...inner.passed]
  const found = argumentsOf(all, { ...looking, depth: looking.depth + 1 })
  const isFirst = found.added.length > 0 && inner.separator && !rest.includes('--')
  return { ...found, added: isFirst ? ['--', ...found.added] : found.added }
}

function ofProgram(name: string, rest: readonly string[], port: number): PortArguments {
  const row = devServers.find(
    ({ programs, commands }) =>
      programs.includes(name) && commands.some((command) => beginsWith(rest, command)),
  )
  const [option] = row?.options ?? []
  if (row === undefined || option === undefined) return none
  const given = givenPort(rest, row.options)
  if (given !== null) return { added: [], given }
  return { added: [option, String(port), ...(row.more ?? [])], given: null }
}

/** Whether the words before the first option are those of a command. */
function beginsWith(rest: readonly string[], command: string): boolean {
  const end = rest.findIndex((word) => word.startsWith('-'))
  const plain = end === -1 ? rest : rest.slice(0, end)
  // Vite and others take the directory of the app.
  if (command === '') return plain.every((word) => /^[./]/.test(word))
  return command.split(' ').every((word, i) => plain[i] === word)
}

function givenPort(words: readonly string[], options: readonly string[]): number | null {
  for (const [i, word] of words.entries()) {
    const option = options.find((each) => word === each || word.startsWith(`${each}=`))
    if (option === undefined) continue
    const text = word === option ? (words[i + 1] ?? '') : word.slice(option.length + 1)
    const port = /^\d{1,5}$/.test(text) ? Number(text) : 0
    if (port > 0 && port <= 65_535) return port
  }
  return null
}

/** A command inside another: another program's words, or a script of package.json. */
type Inner =
  | { readonly words: readonly string[] }
  | {
      readonly script: string
      /** The words that the script gets. */
      readonly passed: readonly string[]
      /** Whether `--` must stand before what the script gets. */
      readonly separator: boolean
    }

/** Returns what a package manager or a program like env runs; `null`: this is neither. */
function innerCommand(
  name: string,
  rest: readonly string[],
  scripts: ReadonlyMap<string, string>,
): Inner | null {
  const [first = '', second = ''] = rest
  const runs = (script: string, passed: readonly string[], separator: boolean): Inner | null => {
    const text = scripts.get(script)
    if (text === undefined) return null
    return { script: text, passed: passed.filter((word) => word !== '--'), separator }
  }
  switch (name) {
    case 'npx':
    case 'bunx':
    case 'cross-env':
    case 'env':
      return { words: withoutFirst(rest) }
    case 'npm':
      if (['run', 'run-script'].includes(first)) return runs(second, rest.slice(2), true)
      if (first === 'exec') return { words: withoutFirst(rest.slice(1)) }
      return ['start', 'test'].includes(first) ? runs(first, rest.slice(1), true) : null
    case 'pnpm':
    case 'yarn':
    case 'bun':
      if (first === 'run') return runs(second, rest.slice(2), false)
      if (['exec', 'dlx', 'x'].includes(first)) return { words: withoutFirst(rest.slice(1)) }
      return runs(first, rest.slice(1), false) ?? (first === '' ? null : { words: rest })
    default:
      return null
  }
}

/** Leaves out the settings of the environment, and the options that npx and such may have, at the beginning. */
function withoutFirst(words: readonly string[]): readonly string[] {
  const start = words.findIndex(
    (word) => !/^(?:[A-Za-z_]\w*=.*|--|-y|--yes|--no-install|--bun)$/s.test(word),
  )
  return start === -1 ? [] : words.slice(start)
}

/**
 * Returns the words of the last command of a script, to which a package manager adds words; `null`: the
 * script has more of a shell's language than `&&`, settings of the environment and plain quotes.
 */
function lastCommand(script: string): readonly string[] | null {
  const last = script.split('&&').at(-1) ?? ''
  if (/[|&;<>`$(){}\\\n*?~#]/.test(last)) return null
  const words = [...last.matchAll(/(?:"[^"]*"|'[^']*'|[^\s"'])+/g)].map(([word]) =>
    word.replaceAll(/["']/g, ''),
  )
  return withoutFirst(words)
}

/** In octets; a package.json is far smaller. */
const longest = 1024 * 1024
/** In letters. */
const longestScript = 4_096

async function scriptsIn(directory: string): Promise<ReadonlyMap<string, string>> {
  try {
    const text = await readText(join(directory, 'package.json'), longest)
    const manifest = parseBoundedJson(text ?? 'null') as { readonly scripts?: unknown } | null
    const entries = Object.entries(manifest?.scripts ?? {})
    return new Map(
      entries.filter(
        (entry): entry is [string, string] =>
          typeof entry[1] === 'string' && entry[1].length <= longestScript,
      ),
    )
  } catch {
    // A package manager says what is wrong with it.
    return new Map()
  }
}
