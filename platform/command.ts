import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { mkdtemp, open, rm, type FileHandle } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { RootlingError } from '../src/errors.ts'

/**
 * Milliseconds that a program may take to answer a query, to change something, to show a dialog, to
 * download, to refresh a system store with the hooks of other programs, some of which take minutes.
 */
export const timeLimits = {
  query: 15_000,
  change: 60_000,
  dialog: 120_000,
  download: 600_000,
  refresh: 600_000,
} as const

/**
 * The most characters that a program may print. A keystore of a thousand roots fits; a program that
 * prints without end is stopped.
 */
const outputLimit = 10_000_000

export interface CommandOptions {
  /** Milliseconds; by default `timeLimits.query` for a query, `timeLimits.change` for a change. */
  readonly timeLimit?: number
  /** What the program reads on its standard input: text, or octets; by default nothing. */
  readonly input?: string | Uint8Array
  /**
   * Standard input that is secret: passed through a pipe, never written to a disk or shown in a dry
   * run.
   */
  readonly secret?: string
  /** What messages call the program, where another one starts it; default: its path. */
  readonly name?: string
}

export interface CommandResult {
  readonly exitCode: number
  readonly stdout: string
  readonly stderr: string
}

export interface RunOptions extends CommandOptions {
  /** The environment of the program; no variable is inherited from this process. */
  readonly env: Readonly<Record<string, string | undefined>>
  /** The user that the program runs as. Only root can choose one. */
  readonly uid?: number
  readonly gid?: number
  /** Called every second while the program runs, with the program's name and the seconds so far. */
  readonly onWait?: ((name: string, seconds: number) => void) | undefined
  /**
   * Ends the processes that this process may not end, since they run as root; default: it may end
   * them all.
   */
  readonly end?: ((signal: 'TERM' | 'KILL', ids: readonly number[]) => Promise<unknown>) | undefined
}

/**
 * Runs a program, given its absolute path and its arguments, without a shell. Returns whatever the
 * exit code is. Throws `tool-missing` (no such program), `tool-timeout`, or `tool-failed` (could
 * not be started, was killed, or printed more than `outputLimit`).
 */
export async function run(
  program: string,
  args: readonly string[],
  options: RunOptions,
): Promise<CommandResult> {
  const input = options.input === undefined ? null : await openAsFile(options.input)
  try {
    return await runWithInput(program, args, options, input)
  } finally {
    await input?.close()
  }
}

async function runWithInput(
  program: string,
  args: readonly string[],
  options: RunOptions,
  input: FileHandle | null,
): Promise<CommandResult> {
  const { execa } = await import('execa')
  const { timeLimit = timeLimits.query, name = program, onWait } = options
  const child = execa(program, args, {
    env: childEnvironment(options.env),
    extendEnv: false,
    // On Windows `/` is the root of the current drive, where other users may have put files.
    cwd: process.platform === 'win32' ? path.dirname(program) : '/',
    reject: false,
    maxBuffer: outputLimit,
    stripFinalNewline: false,
    // execa takes a file descriptor here, although its types do not say so.
    ...(options.secret === undefined
      ? { stdin: (input?.fd ?? 'ignore') as 'ignore' }
      : { input: options.secret }),
    ...(options.uid === undefined ? {} : { uid: options.uid }),
    ...(options.gid === undefined ? {} : { gid: options.gid }),
  })

  // execa's own timeout is not used: sudo runs as root and cannot be killed by the user who started
  // it, so execa would wait until sudo ends by itself.
  let timer: NodeJS.Timeout | undefined
  const expired = new Promise<'expired'>((resolve) => {
    timer = setTimeout(resolve, timeLimit, 'expired')
  })
  let seconds = 0
  const ticks = onWait && setInterval(() => onWait(path.basename(name), ++seconds), 1_000)
  const result = await Promise.race([child, expired])
  clearTimeout(timer)
  clearInterval(ticks)
  if (result === 'expired') {
    const ended = await endTree(child.pid, options.end)
    child.unref()
    child.stdout.destroy()
    child.stderr.destroy()
    throw new RootlingError(
      'tool-timeout',
      `${name} gave no answer in ${timeLimit / 1000} seconds and ${ended ? 'was' : 'could not be'} stopped.`,
      { hint: 'Close dialogs and other programs that hold the same store, then try again' },
    )
  }
  if (result.exitCode !== undefined && !result.isMaxBuffer) {
    return { exitCode: result.exitCode, stdout: result.stdout, stderr: result.stderr }
  }
  if (result.code === 'ENOENT') {
    throw new RootlingError('tool-missing', `${name} is not there.`, { cause: result.cause })
  }
  const reason = result.isMaxBuffer
    ? 'wrote more output than any answer needs'
    : result.signal === undefined
      ? 'could not be started'
      : `was ended by ${result.signal}`
  throw new RootlingError('tool-failed', `${name} ${reason}.`, { cause: result.cause })
}

type End = NonNullable<RunOptions['end']>

const endOwn: End = async (signal, ids) => {
  for (const id of ids) {
    try {
      process.kill(id, `SIG${signal}`)
    } catch {
      // It has ended by itself.
    }
  }
}

/**
 * Ends a program with everything that it started: a script that is ended alone leaves the program
 * that it waits for, such as a hook of update-ca-certificates, which then goes on. Returns whether
 * they have all ended.
 */
async function endTree(root: number | undefined, end: End = endOwn): Promise<boolean> {
  if (root === undefined) return true
  const ids = treeOf(root, await runningProcesses())
  let running: ReadonlyMap<number, number> = new Map()
  const left = (): number[] => ids.filter((id) => running.has(id))
  for (const signal of ['TERM', 'KILL'] as const) {
    await end(signal, signal === 'TERM' ? ids : left())
    for (let tries = 0; tries < 20; tries++) {
      running = await runningProcesses()
      if (left().length === 0) return true
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  }
  return false
}

/** Returns a process and all that it started, each after the one that started it. */
function treeOf(root: number, running: ReadonlyMap<number, number>): number[] {
  const ids = [root]
  // The list grows while it is read.
  for (const id of ids) for (const [child, parent] of running) if (parent === id) ids.push(child)
  return ids
}

/**
 * Returns the running processes with their parents, by number. On Windows it returns none, since
 * the programs that are used there start no others.
 */
async function runningProcesses(): Promise<Map<number, number>> {
  const running = new Map<number, number>()
  if (process.platform === 'win32') return running
  if (process.platform === 'linux') {
    for (const name of readdirSync('/proc')) {
      if (!/^\d+$/.test(name)) continue
      const text = readStat(name)
      // The name of the program may hold spaces and brackets.
      const [state, parent] = text.slice(text.lastIndexOf(')') + 2).split(' ')
      if (parent !== undefined && state !== 'Z') running.set(Number(name), Number(parent))
    }
    return running
  }
  const { execa } = await import('execa')
  const { stdout } = await execa('/bin/ps', ['-A', '-o', 'pid=,ppid=,stat='], { reject: false })
  for (const [, id, parent] of (stdout ?? '').matchAll(/^\s*(\d+)\s+(\d+)\s+[^Z\s]/gm))
    running.set(Number(id), Number(parent))
  return running
}

/** Returns what the kernel says of a process; an empty string: it has ended. */
function readStat(id: string): string {
  try {
    return readFileSync(`/proc/${id}/stat`, 'utf8')
  } catch {
    return ''
  }
}

/**
 * Returns the result when its exit code is 0. Otherwise throws `tool-failed` with the line in which
 * the program says what went wrong.
 */
export function expectSuccess(
  program: string,
  result: CommandResult,
  hint?: string,
): CommandResult {
  if (result.exitCode === 0) return result
  const said = complaintOf(result)
  throw new RootlingError(
    'tool-failed',
    `${program} ended with exit code ${result.exitCode}${said ? `: ${said}` : '.'}`,
    { hint },
  )
}

/**
 * Returns the line in which a program says what went wrong: the last that speaks of an error, on
 * standard error or else on standard output, or the last line of either. keytool prints its errors
 * on standard output, and on standard error what went well before.
 */
export function complaintOf({ stderr, stdout }: CommandResult): string {
  const lines = [stdout, stderr]
    .flatMap((text) => text.trim().split('\n'))
    .map((line) => line.trim())
  const said = lines.findLast((line) => /error|exception/i.test(line)) ?? lines.findLast(Boolean)
  return said?.slice(0, 300) ?? ''
}

/**
 * Returns the environment with which a program runs: its answers are in English, paths are in UTF-8,
 * and the user's extra roots and options for Node and Java are left out.
 */
function childEnvironment(env: Readonly<Record<string, string | undefined>>): NodeJS.ProcessEnv {
  const child: NodeJS.ProcessEnv = { ...env, ...localeOf(env) }
  for (const name of ['NODE_EXTRA_CA_CERTS', 'NODE_OPTIONS', 'LANGUAGE', ...jvmOptions]) {
    delete child[name]
  }
  return child
}

/**
 * Returns the variables of a locale that is not translated and whose character set is UTF-8. Without
 * that set Java cannot open a path such as /home/Jürgen. That locale is C.UTF-8; where a GNU system
 * is too old to have it, the character set is the one of the machine's own locale. macOS has no
 * C.UTF-8, but always English.
 */
export function localeOf(
  env: Readonly<Record<string, string | undefined>>,
  system: NodeJS.Platform = process.platform,
  locales = '/usr/lib/locale',
): Readonly<Record<string, string | undefined>> {
  if (system === 'darwin') return { LC_ALL: 'en_US.UTF-8' }
  const own = [env['LC_ALL'], env['LC_CTYPE'], env['LANG']].find((name) => (name ?? '') !== '')
  const has = (name: string): boolean => existsSync(path.join(locales, name))
  const isOld = has('locale-archive') && !has('C.utf8') && !has('C.UTF-8')
  if (!isOld || own === undefined || !/utf-?8/i.test(own)) return { LC_ALL: 'C.UTF-8' }
  return { LC_ALL: undefined, LANG: 'C', LC_MESSAGES: 'C', LC_CTYPE: own }
}

/**
 * Options for every JVM. A JVM that uses them prints a line about it among the output that is read
 * here.
 */
const jvmOptions = ['JAVA_TOOL_OPTIONS', '_JAVA_OPTIONS', 'JDK_JAVA_OPTIONS']

/**
 * Makes a directory in the one for temporary files and returns its absolute path. Throws
 * `state-unwritable`.
 */
export async function makeTemporaryDirectory(): Promise<string> {
  const parent = path.resolve(tmpdir())
  try {
    return await mkdtemp(path.join(parent, 'rootling-'))
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException
    throw new RootlingError(
      'state-unwritable',
      `No temporary file can be made in ${parent} (${code}).`,
      { hint: 'Set TMPDIR to a directory that you can write to', cause: error },
    )
  }
}

/**
 * Returns the contents as an open file that every user can read and whose name is already deleted.
 * A pipe would not do: Node's pipes are sockets, and a socket cannot be opened as /dev/stdin, which
 * `install` does.
 */
async function openAsFile(contents: string | Uint8Array): Promise<FileHandle> {
  const directory = await makeTemporaryDirectory()
  try {
    // Everything goes through one descriptor: in a TMPDIR that another user owns, the name may soon
    // lead to another file.
    const file = await open(path.join(directory, 'input'), 'wx+', 0o644)
    await file.chmod(0o644)
    const bytes = typeof contents === 'string' ? Buffer.from(contents) : contents
    for (let at = 0; at < bytes.length;)
      at += (await file.write(bytes, at, bytes.length - at, at)).bytesWritten
    return file
  } finally {
    await rm(directory, { recursive: true, force: true }).catch((error: unknown) => {
      // Windows may refuse to delete the directory of an open file. Only a public root stays
      // behind.
      if (process.platform !== 'win32') throw error
    })
  }
}
