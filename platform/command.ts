import { mkdtemp, open, rm, type FileHandle } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { RootlingError } from '../src/errors.ts'

/** Milliseconds a program may take: to answer, to change something, with a dialog open, to download. */
export const timeLimits = {
  query: 15_000,
  change: 60_000,
  dialog: 120_000,
  download: 600_000,
} as const

/** Ten million characters: a keystore of a thousand roots fits, a runaway program does not. */
const outputLimit = 10_000_000

export interface CommandOptions {
  /** Milliseconds; `timeLimits.query` for a query and `timeLimits.change` for a change when left out. */
  timeLimit?: number
  /** What the program reads on its standard input; nothing when left out. */
  input?: string
  /** The same for what nobody may see: through a pipe, on no disk, and shown in no dry run. */
  secret?: string
}

export interface CommandResult {
  readonly exitCode: number
  readonly stdout: string
  readonly stderr: string
}

export interface RunOptions extends CommandOptions {
  /** The whole environment of the program: nothing is inherited beside it. */
  env: Readonly<Record<string, string | undefined>>
  /** Run as this user; only root can. */
  uid?: number
  gid?: number
}

/**
 * Runs a program by absolute path and argument array, never through a shell. Any exit code is an
 * answer. Throws `tool-missing` (not there), `tool-timeout`, or `tool-failed` (killed, or it said too much).
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
    // execa takes a file descriptor here; only its types do not.
    ...(options.secret === undefined
      ? { stdin: (input?.fd ?? 'ignore') as 'ignore' }
      : { input: options.secret }),
    ...(options.uid === undefined ? {} : { uid: options.uid }),
    ...(options.gid === undefined ? {} : { gid: options.gid }),
  })

  // The clock is ours, not execa's: sudo runs as root and cannot be killed by the user who started
  // it, so execa would wait for its end however long that takes.
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<'late'>((resolve) => {
    timer = setTimeout(resolve, timeLimit, 'late')
  })
  const result = await Promise.race([child, late])
  clearTimeout(timer)
  if (result === 'late') {
    child.kill('SIGTERM')
    child.unref()
    child.stdout.destroy()
    child.stderr.destroy()
    throw new RootlingError(
      'tool-timeout',
      `${program} gave no answer in ${timeLimit / 1000} seconds and was stopped.`,
      { hint: 'close dialogs and other programs that hold the same store, then try again' },
    )
  }
  if (result.exitCode !== undefined && !result.isMaxBuffer) {
    return { exitCode: result.exitCode, stdout: result.stdout, stderr: result.stderr }
  }
  if (result.code === 'ENOENT') {
    throw new RootlingError('tool-missing', `${program} is not there.`, { cause: result.cause })
  }
  const why = result.isMaxBuffer
    ? 'said more than any answer needs'
    : result.signal === undefined
      ? 'could not be started'
      : `was ended by ${result.signal}`
  throw new RootlingError('tool-failed', `${program} ${why}.`, { cause: result.cause })
}

/** Passes a result of exit code 0 on; throws `tool-failed` with the program's last line otherwise. */
export function expectSuccess(program: string, result: CommandResult, hint?: string) {
  if (result.exitCode === 0) return result
  const said = (result.stderr.trim() || result.stdout.trim()).split('\n').at(-1)?.trim()
  throw new RootlingError(
    'tool-failed',
    `${program} ended with exit code ${result.exitCode}${said ? `: ${said.slice(0, 300)}` : '.'}`,
    { hint },
  )
}

/** English answers, and no NODE_EXTRA_CA_CERTS or JVM options of the caller's in the child. */
function childEnvironment(env: Readonly<Record<string, string | undefined>>): NodeJS.ProcessEnv {
  const child: NodeJS.ProcessEnv = { ...env, LC_ALL: 'C' }
  for (const name of ['NODE_EXTRA_CA_CERTS', 'NODE_OPTIONS', 'LANGUAGE', ...jvmOptions]) {
    delete child[name]
  }
  return child
}

/** A JVM obeys these and says so on its output, where only keytool's answer should be. */
const jvmOptions = ['JAVA_TOOL_OPTIONS', '_JAVA_OPTIONS', 'JDK_JAVA_OPTIONS']

/**
 * Contents as an open file without a name, readable for every user. Node's pipes are sockets, and
 * a socket cannot be opened as /dev/stdin, which `install` does.
 */
async function openAsFile(contents: string): Promise<FileHandle> {
  const directory = await mkdtemp(path.join(tmpdir(), 'rootling-'))
  try {
    // One descriptor throughout: where TMPDIR is somebody else's, another file may have the name.
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
