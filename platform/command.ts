import { mkdtemp, open, rm, type FileHandle } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { RootlingError } from '../src/errors.ts'

/** Milliseconds a program may take: to answer, to change something, with a dialog, to download. */
export const timeLimits = {
  query: 15_000,
  change: 60_000,
  dialog: 120_000,
  download: 600_000,
} as const

/** Ten million characters: a keystore of a thousand roots fits, a runaway program does not. */
const outputLimit = 10_000_000

export interface CommandOptions {
  /** Milliseconds; by default `timeLimits.query` for a query, `timeLimits.change` for a change. */
  readonly timeLimit?: number
  /** What the program reads on its standard input; by default nothing. */
  readonly input?: string
  /** Like `input`, for a secret: through a pipe, never on a disk, and shown in no dry run. */
  readonly secret?: string
}

export interface CommandResult {
  readonly exitCode: number
  readonly stdout: string
  readonly stderr: string
}

export interface RunOptions extends CommandOptions {
  /** The whole environment of the program: nothing is inherited beside it. */
  readonly env: Readonly<Record<string, string | undefined>>
  /** Run as this user; only root can. */
  readonly uid?: number
  readonly gid?: number
}

/**
 * Runs a program by absolute path and argument array, never through a shell. Any exit code is an
 * answer. Throws `tool-missing` (not there), `tool-timeout`, or `tool-failed` (killed, or more
 * output than `outputLimit`).
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
  const timeLimit = options.timeLimit ?? timeLimits.query
  const child = execa(program, args, {
    env: childEnvironment(options.env),
    extendEnv: false,
    cwd: '/',
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

  // Not execa's own timeout: sudo runs as root and cannot be killed by the user who started it, so
  // execa would wait until it ends by itself.
  let timer: NodeJS.Timeout | undefined
  const expired = new Promise<'expired'>((resolve) => {
    timer = setTimeout(resolve, timeLimit, 'expired')
  })
  const result = await Promise.race([child, expired])
  clearTimeout(timer)
  if (result === 'expired') {
    child.kill('SIGTERM')
    child.unref()
    child.stdout.destroy()
    child.stderr.destroy()
    throw new RootlingError(
      'tool-timeout',
      `${program} gave no answer in ${timeLimit / 1000} seconds and was stopped.`,
      { hint: 'Close dialogs and other programs that hold the same store, then try again' },
    )
  }
  if (result.exitCode !== undefined && !result.isMaxBuffer) {
    return { exitCode: result.exitCode, stdout: result.stdout, stderr: result.stderr }
  }
  if (result.code === 'ENOENT') {
    throw new RootlingError('tool-missing', `${program} is not there.`, { cause: result.cause })
  }
  const reason = result.isMaxBuffer
    ? 'wrote more output than any answer needs'
    : result.signal === undefined
      ? 'could not be started'
      : `was ended by ${result.signal}`
  throw new RootlingError('tool-failed', `${program} ${reason}.`, { cause: result.cause })
}

/** Returns a result of exit code 0; else throws `tool-failed` with the program's last line. */
export function expectSuccess(
  program: string,
  result: CommandResult,
  hint?: string,
): CommandResult {
  if (result.exitCode === 0) return result
  const said = (result.stderr.trim() || result.stdout.trim()).split('\n').at(-1)?.trim()
  throw new RootlingError(
    'tool-failed',
    `${program} ended with exit code ${result.exitCode}${said ? `: ${said.slice(0, 300)}` : '.'}`,
    { hint },
  )
}

/** For answers in English, and without the caller's extra roots and options of Node and Java. */
function childEnvironment(env: Readonly<Record<string, string | undefined>>): NodeJS.ProcessEnv {
  const child: NodeJS.ProcessEnv = { ...env, LC_ALL: 'C' }
  for (const name of ['NODE_EXTRA_CA_CERTS', 'NODE_OPTIONS', 'LANGUAGE', ...jvmOptions]) {
    delete child[name]
  }
  return child
}

/** A JVM that reads these says so on its output, where only keytool's answer should be. */
const jvmOptions = ['JAVA_TOOL_OPTIONS', '_JAVA_OPTIONS', 'JDK_JAVA_OPTIONS']

/**
 * Contents as an open file without a name, readable for every user. Node's pipes are sockets, and
 * a socket cannot be opened as /dev/stdin, which `install` does.
 */
async function openAsFile(contents: string): Promise<FileHandle> {
  const directory = await mkdtemp(path.join(tmpdir(), 'rootling-'))
  try {
    // All through one descriptor: in a TMPDIR of another user, the name may soon be another file's.
    const file = await open(path.join(directory, 'input'), 'wx+', 0o644)
    await file.chmod(0o644)
    const bytes = Buffer.from(contents)
    for (let at = 0; at < bytes.length;)
      at += (await file.write(bytes, at, bytes.length - at, at)).bytesWritten
    return file
  } finally {
    await rm(directory, { recursive: true, force: true }).catch((error: unknown) => {
      // Windows may keep the directory of a file that is open; a public root stays in it.
      if (process.platform !== 'win32') throw error
    })
  }
}
