import { rm, rmdir } from 'node:fs/promises'
import { RootlingError } from '../src/errors.ts'
import {
  expectSuccess,
  run,
  timeLimits,
  type CommandOptions,
  type CommandResult,
  type RunOptions,
} from './command.ts'
import { withDirectoryLock } from './directory-lock.ts'
import { displayCommand } from './display-command.ts'
import { isDirectoryItself, isTaken } from './file-status.ts'
import { findPerson, type Person } from './person.ts'
import { findProgram, rootEnvironment } from './programs.ts'
import { createSudo, type RunAsRoot } from './sudo.ts'
import { becauseOf, findReplaceable, octal, writeFileOf, writeReadableFile } from './write-file.ts'
import { quotedPath } from '../src/shell-word.ts'

/**
 * Who runs a program or changes a file: root (through sudo where needed), or the person (even when
 * this process is root).
 */
export type Actor = 'root' | 'person'

/**
 * The machine as the stores see it. `query` never changes anything, and runs in a dry run too. The
 * methods that change the machine are only recorded in a dry run, as a person would type them.
 */
export interface Machine {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly person: Person
  readonly dryRun: boolean
  /**
   * The commands that a dry run would have run. Each is one shell command, which may have several
   * lines.
   */
  readonly planned: readonly string[]
  /**
   * Returns the absolute path of a program, given its name or path; `null`: there is none. For
   * root, or with `forRoot`, names are looked up in the system's directories, and only programs
   * that nobody but root can change count.
   */
  find(program: string, options?: { readonly forRoot?: boolean }): Promise<string | null>
  /** Runs a program as the person, with `timeLimits.query`. Throws as `run` does. */
  query(program: string, args: readonly string[], options?: CommandOptions): Promise<CommandResult>
  /**
   * Runs a program that changes something, with `timeLimits.change`. Throws as `run` does, and for
   * root also `store-failed`.
   */
  change(
    program: string,
    args: readonly string[],
    options: CommandOptions & { readonly as: Actor },
  ): Promise<CommandResult>
  /**
   * Writes a whole file with mode 0644 and creates its parent directories. Atomic where this
   * process itself may write the file.
   */
  writeFile(file: string, contents: string, as: Actor): Promise<void>
  /**
   * Writes a file that somebody else made. Its owner, group and mode stay, and so does a symbolic
   * link that leads to it. Throws `store-failed` where the file cannot be replaced by a rename, or
   * other users can change where a link leads.
   */
  replaceFile(file: string, contents: string, as: Actor): Promise<void>
  /** Removes a file. Does nothing when the file is absent. */
  removeFile(file: string, as: Actor): Promise<void>
  /**
   * Runs `work`, which reads and then changes a file that the users of the machine share, while no
   * other rootling works on that directory, whoever started it. The directory must exist. Where
   * flock(1) is not on the machine, as on macOS and Windows, nothing keeps others out.
   */
  alone<T>(directory: string, work: () => Promise<T>): Promise<T>
  /**
   * Tells the person that a dialog or a password prompt is about to open. Says nothing in a dry
   * run. Throws `store-failed` where none may open.
   */
  announce(sentence: string): void
  /**
   * Returns the path of the file in which these contents are kept; `null`: no such file is known.
   */
  knownFile(contents: string): string | null
  /**
   * Removes a directory if it is empty. Does nothing when it is absent, not empty, a symbolic link,
   * or cannot be removed, as where something is mounted on it: an empty directory harms nobody.
   */
  removeEmptyDirectory(directory: string, as: Actor): Promise<void>
}

export interface MachineOptions {
  /** By default `process.env`. */
  readonly env?: Readonly<Record<string, string | undefined>>
  readonly dryRun?: boolean
  /** `forbidden`: a change that would need sudo is refused, and the error says so. */
  readonly sudo?: 'allowed' | 'forbidden'
  /** Whether sudo may ask for a password; by default when standard input is a terminal. */
  readonly interactive?: boolean
  /**
   * The command that a person types to do what this process does not do without a person: open a
   * dialog, and use sudo where it is forbidden or asks for a password. Absent: dialogs may open.
   */
  readonly attendedCommand?: string | undefined
  /**
   * Called before each command that changes the machine, with the command as a person would type
   * it.
   */
  readonly onCommand?: (command: string) => void
  /**
   * Called before the operating system opens a dialog, and once before sudo may ask for the
   * password.
   */
  readonly onPrompt?: (sentence: string) => void
  /** Called every second while a program runs, with the program's name and the seconds so far. */
  readonly onWait?: (program: string, seconds: number) => void
  /**
   * Files that exist, by their contents. A dry run shows `< path` for a program that reads these
   * contents.
   */
  readonly knownFiles?: ReadonlyMap<string, string>
}

/** Returns the machine that this process runs on. */
export async function createMachine(options: MachineOptions = {}): Promise<Machine> {
  const { env = process.env, dryRun = false, knownFiles = new Map<string, string>() } = options
  const person = await findPerson(env)
  const isRoot = process.getuid?.() === 0
  // Windows has no sudo: a program that needs an administrator says so itself.
  const actsAsRoot = isRoot || process.getuid === undefined
  const planned: string[] = []
  const { onWait } = options
  const asPerson = { ...optionsOfPerson(person, env, isRoot), onWait }
  const runAsRoot: RunAsRoot = actsAsRoot
    ? (program, args, command) =>
        run(program, args, { ...command, env: rootEnvironment(env), onWait })
    : createSudo({
        env,
        user: person.name,
        allowed: options.sudo !== 'forbidden',
        interactive: options.interactive ?? process.stdin.isTTY,
        attendedCommand: options.attendedCommand,
        onPrompt: options.onPrompt,
        onWait,
      })

  const prefixes = {
    root: actsAsRoot ? [] : ['sudo'],
    person: person.viaSudo ? ['sudo', '-u', person.name] : [],
  }
  const actsItself = (as: Actor): boolean => !dryRun && prefixes[as].length === 0

  const report = (command: readonly string[], input?: string | Uint8Array): void =>
    options.onCommand?.(displayCommand(command, input, knownFiles))

  const find: Machine['find'] = (program, { forRoot = false } = {}) =>
    findProgram(program, env, isRoot || forRoot)

  const change: Machine['change'] = async (program, args, { as, ...command }) => {
    const line = [...prefixes[as], program, ...args]
    if (dryRun) {
      planned.push(displayCommand(line, command.input, knownFiles))
      return { exitCode: 0, stdout: '', stderr: '' }
    }
    report(line, command.input)
    const limited = { timeLimit: timeLimits.change, ...command }
    if (as === 'root') return runAsRoot(program, args, limited)
    return run(program, args, { ...limited, ...asPerson })
  }

  return {
    env,
    person,
    planned,
    dryRun,
    find,
    query: (program, args, command) => run(program, args, { ...command, ...asPerson }),
    change,

    ...createFileChanges({ find, change, actsItself, report }),

    async alone(directory, work) {
      if (dryRun) return work()
      const flock = await find('flock', { forRoot: true })
      const sh = await find('sh', { forRoot: true })
      if (flock === null || sh === null) return work()
      return withDirectoryLock(directory, work, { programs: { flock, sh }, onWait })
    },

    announce(sentence) {
      if (dryRun) return
      const { attendedCommand: hint } = options
      if (hint !== undefined)
        throw new RootlingError('store-failed', `A person must do this: ${sentence}`, { hint })
      options.onPrompt?.(sentence)
    },

    knownFile: (contents) => knownFiles.get(contents) ?? null,
  }
}

interface FileChangers extends Pick<Machine, 'find' | 'change'> {
  /**
   * Whether this process changes files itself. If not, a program changes them, or a dry run records
   * the command.
   */
  readonly actsItself: (as: Actor) => boolean
  readonly report: (command: readonly string[], input?: string) => void
}

function createFileChanges({
  find,
  change,
  actsItself,
  report,
}: FileChangers): Pick<
  Machine,
  'writeFile' | 'replaceFile' | 'removeFile' | 'removeEmptyDirectory'
> {
  /** Changes a file with one of the system's own programs. */
  async function changeBy(
    tool: string,
    args: readonly string[],
    command: CommandOptions & { readonly as: Actor },
  ): Promise<CommandResult> {
    const program = await find(tool, { forRoot: true })
    if (program !== null) return change(program, args, command)
    const sentence = `The program ${tool} is not in the system's directories.`
    throw new RootlingError('tool-missing', sentence)
  }

  return {
    async writeFile(file, contents, as) {
      const args = ['-D', '-m', '0644', '/dev/stdin', file]
      if (!actsItself(as)) {
        expectSuccess('install', await changeBy('install', args, { as, input: contents }))
        return
      }
      report(['install', ...args], contents)
      await writeReadableFile(file, contents)
    },

    async replaceFile(file, contents, as) {
      const { path, owner } = await findReplaceable(file, as)
      const next = `${path}.rootling-${process.pid}`
      const args = ['-m', octal(owner.mode), '-o', `${owner.uid}`, '-g', `${owner.gid}`]
      if (actsItself(as)) {
        report(['install', ...args, '/dev/stdin', path], contents)
        await writeFileOf(path, contents, owner)
        return
      }
      const command = { as, input: contents }
      try {
        expectSuccess('install', await changeBy('install', [...args, '/dev/stdin', next], command))
        expectSuccess('mv', await changeBy('mv', ['-f', next, path], { as }))
      } catch (error) {
        await changeBy('rm', ['-f', next], { as }).catch(() => undefined)
        throw error
      }
    },

    async removeFile(file, as) {
      if (!(await isTaken(file))) return
      if (!actsItself(as)) {
        expectSuccess('rm', await changeBy('rm', ['-f', file], { as }))
        return
      }
      report(['rm', '-f', file])
      await rm(file, { force: true }).catch((error: unknown) => {
        throw new RootlingError(
          'store-failed',
          `${quotedPath(file)} cannot be removed${becauseOf(error)}.`,
          {
            cause: error,
          },
        )
      })
    },

    async removeEmptyDirectory(directory, as) {
      if (!(await isDirectoryItself(directory))) return
      if (!actsItself(as)) {
        await changeBy('rmdir', ['--ignore-fail-on-non-empty', directory], { as })
        return
      }
      await rmdir(directory).catch(() => undefined)
    },
  }
}

/**
 * Returns the environment and user with which the person's programs run. With root's home they
 * would use root's files. `isRoot`: of root's own variables, few are passed on.
 */
export function optionsOfPerson(
  person: Person,
  env: Machine['env'],
  isRoot: boolean,
): Pick<RunOptions, 'env' | 'uid' | 'gid'> {
  const { name, uid, gid, home, viaSudo } = person
  if (viaSudo) return { env: { ...env, HOME: home, USER: name, LOGNAME: name }, uid, gid }
  return { env: { ...(isRoot ? rootsOwnEnvironment(env) : env), HOME: home } }
}

/**
 * Returns root's environment, with the two variables by which systemctl finds root's own service
 * manager.
 */
function rootsOwnEnvironment(env: Machine['env']): Machine['env'] {
  const { XDG_RUNTIME_DIR, DBUS_SESSION_BUS_ADDRESS } = env
  return { ...rootEnvironment(env), XDG_RUNTIME_DIR, DBUS_SESSION_BUS_ADDRESS }
}
