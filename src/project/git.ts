import { isAbsolute, join, relative, resolve } from 'node:path'
import { createMachine, type Machine } from '../../platform/machine.ts'
import { RootlingError } from '../errors.ts'
import { readText } from '../files/read.ts'
import { shellWord } from '../shell-word.ts'
import type { Project } from './find.ts'
import { surelyIgnored } from './git-index.ts'

/** Why a commit would take a file, and what keeps it out. */
export interface Exposure {
  /** Relative to the directory of the project. */
  readonly path: string
  readonly error: RootlingError
}

/**
 * Returns the files that a commit would take although the project's .gitignore names them, or will:
 * Git tracks the file already, or a .gitignore in a directory below takes the line back. Where Git
 * is not there or refuses the repository, the files .gitignore below are read instead. With `added`,
 * the lines are in .gitignore already, so that every file that Git does not ignore counts.
 */
export async function exposedFiles(
  project: Project,
  paths: readonly string[],
  env: Machine['env'],
  { added }: { readonly added: boolean },
): Promise<Exposure[]> {
  if (paths.length === 0 || (added && surelyIgnored(project, paths))) return []
  const found = await askGit(project, paths, env)
  if (found === null) return readExposures(project, paths)
  return found.flatMap(({ path, isTracked, match }) => {
    if (isTracked) return [tracked(path)]
    if (match !== null && !match.pattern.startsWith('!')) return []
    if (match !== null && isBelow(project.directory, match.file))
      return [includedAgain(project, path, match)]
    return added ? [notIgnored(path)] : []
  })
}

/** A line of a .gitignore. */
interface Match {
  /** The absolute path of the .gitignore. */
  readonly file: string
  readonly line: string
  readonly pattern: string
}

interface Answer {
  readonly path: string
  readonly isTracked: boolean
  /** The line that decides about the file; `null`: none does. */
  readonly match: Match | null
}

/**
 * What Git is told before its command: a stranger may have written the repository's own settings, so
 * that none of them may start a program or fetch anything.
 */
const safely = [
  '--no-pager',
  '--no-optional-locks',
  ...[
    'core.fsmonitor=false',
    'core.hooksPath=/dev/null',
    'protocol.allow=never',
    ...['ext', 'file', 'git', 'http', 'https', 'ssh'].map((each) => `protocol.${each}.allow=never`),
  ].flatMap((setting) => ['-c', setting]),
]

/** Asks Git about files; `null`: it is not there, or does not answer for this repository. */
async function askGit(
  { directory }: Project,
  paths: readonly string[],
  env: Machine['env'],
): Promise<Answer[] | null> {
  // Within a hook, variables such as GIT_DIR lead to another repository.
  const own = Object.entries(env).filter(([name]) => !/^GIT_/i.test(name))
  const machine = await createMachine({
    env: { ...Object.fromEntries(own), GIT_ALLOW_PROTOCOL: 'none', GIT_NO_LAZY_FETCH: '1' },
    interactive: false,
  })
  // The PATH of npm and npx begins with programs of the repository.
  const git = (await machine.find('git', { forRoot: true })) ?? (await machine.find('git'))
  if (git === null) return null
  const ask = async (args: readonly string[], input?: string): Promise<string | null> => {
    // Through a pipe, since a second `up` writes no file, and other input goes through one.
    const given = input === undefined ? {} : { secret: input }
    const line = ['-C', directory, ...safely, ...args]
    const { exitCode, stdout } = await machine.query(git, line, given)
    // check-ignore ends with 1 where it ignores none of the files.
    return exitCode === 0 || exitCode === 1 ? stdout : null
  }
  try {
    const top = await ask(['rev-parse', '--show-cdup'])
    const matches = await ask(
      ['check-ignore', '--no-index', '-v', '-n', '-z', '--stdin'],
      paths.map((path) => `${path}\0`).join(''),
    )
    const index = await ask(['ls-files', '-z', '--', ...paths.map((path) => `:(literal)${path}`)])
    if (top === null || matches === null || index === null) return null
    const root = resolve(directory, top.trim())
    const fields = matches.split('\0')
    const inIndex = new Set(index.split('\0'))
    return paths.map((path, i) => {
      const [source = '', line = '', pattern = ''] = fields.slice(4 * i, 4 * i + 3)
      const match = pattern === '' ? null : { file: resolve(root, source), line, pattern }
      return { path, isTracked: inIndex.has(path), match }
    })
  } catch (error) {
    if (error instanceof RootlingError) return null
    throw error
  }
}

/** In octets; a .gitignore is far smaller. */
const longest = 1024 * 1024

/** Finds by the files .gitignore below a project which of its files they take back. */
async function readExposures(project: Project, paths: readonly string[]): Promise<Exposure[]> {
  const exposures: Exposure[] = []
  for (const path of paths) {
    const match = await includedBy(project.directory, path)
    if (match !== null) exposures.push(includedAgain(project, path, match))
  }
  return exposures
}

/** Returns the line below the project that decides to take a file; `null`: none does. */
async function includedBy(directory: string, path: string): Promise<Match | null> {
  const parts = path.split('/')
  // The .gitignore nearest to the file decides first, and in each the last line that fits.
  for (let depth = parts.length - 1; depth > 0; depth--) {
    const file = join(directory, ...parts.slice(0, depth), '.gitignore')
    const lines = ((await readText(file, longest)) ?? '').split(/\r?\n/)
    const at = lines.findLastIndex((line) => fits(line, parts.slice(depth)))
    const pattern = lines[at]
    if (pattern?.startsWith('!') === true) return { file, line: `${at + 1}`, pattern }
    if (pattern !== undefined) return null
  }
  return null
}

/** Whether a pattern of gitignore(5) fits a path, or a directory above it. */
function fits(line: string, parts: readonly string[]): boolean {
  const pattern = line.replace(/^!/, '').trimEnd()
  if (pattern === '' || pattern.startsWith('#')) return false
  const bare = pattern.replace(/^\/|\/$/g, '')
  const source = bare
    .split(/(\*\*\/?|\*|\?|\[[^\]]*\])/)
    .map((piece, i) => (i % 2 === 0 ? piece.replace(/[.+^${}()|[\]]/g, '\\$&') : globOf(piece)))
    .join('')
  const isAnchored = pattern.replace(/\/$/, '').includes('/')
  const start = isAnchored ? '^' : '(?:^|/)'
  return new RegExp(`${start}${source}(?:/|$)`).test(parts.join('/'))
}

/** A wildcard as a regular expression; a class of characters counts as any character. */
function globOf(piece: string): string {
  if (piece.startsWith('**')) return '.*'
  return piece === '*' ? '[^/]*' : '[^/]'
}

function isBelow(directory: string, file: string): boolean {
  const way = relative(directory, file)
  return !way.startsWith('..') && !isAbsolute(way) && /[\\/]/.test(way)
}

const tracked = (path: string): Exposure => ({
  path,
  error: new RootlingError(
    'bad-project',
    `Git tracks ${path} already, so that commits take it whatever .gitignore says.`,
    {
      hint: `git rm --cached ${shellWord(path)}, and commit that; whoever has its history has what was committed`,
    },
  ),
})

function includedAgain({ directory }: Project, path: string, match: Match): Exposure {
  const file = relative(directory, match.file)
  return {
    path,
    error: new RootlingError(
      'bad-project',
      `Git does not ignore ${path}: line ${match.line} of ${file}, ${match.pattern}, takes it into commits.`,
      { hint: `Delete line ${match.line} of ${file}` },
    ),
  }
}

const notIgnored = (path: string): Exposure => ({
  path,
  error: new RootlingError(
    'bad-project',
    `Git does not ignore ${path}, though .gitignore names it.`,
    {
      hint: `To see which line decides: git check-ignore -v --no-index ${shellWord(path)}`,
    },
  ),
})
