import { chmod, lstat, mkdir, rename, rm, rmdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { RootlingError } from '../src/errors.ts'
import { expectSuccess, run, timeLimits } from './command.ts'
import type { CommandOptions, CommandResult } from './command.ts'
import { displayCommand } from './display.ts'
import { findPerson, type Person } from './person.ts'
import { findProgram, isTrustedProgram, rootEnvironment } from './programs.ts'

/** Who does it: root (through sudo where needed) or the person, also when the process is root for them. */
export type Actor = 'root' | 'person'

/**
 * The world that adapters act on. `query` never changes anything and runs in a dry run too;
 * the others change the machine, and a dry run only records them as a person would type them.
 */
export interface Machine {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly person: Person
  readonly dryRun: boolean
  /** What a dry run would have done: one shell command each, some over several lines. */
  readonly planned: readonly string[]
  /**
   * Absolute path of a program; `null`: not there. For root, or with `forRoot`, only root's own
   * programs in the system's directories count. A name that is a path already is checked the same way.
   */
  find(program: string, options?: { forRoot?: boolean }): Promise<string | null>
  /** Runs as the person, with `timeLimits.query`. */
  query(program: string, args: readonly string[], options?: CommandOptions): Promise<CommandResult>
  /** Runs with `timeLimits.change`. */
  change(
    program: string,
    args: readonly string[],
    options: CommandOptions & { as: Actor },
  ): Promise<CommandResult>
  /** Writes a whole file, mode 0644, atomically where this process may; parents are created. */
  writeFile(file: string, contents: string, as: Actor): Promise<void>
  /** Absent is success. */
  removeFile(file: string, as: Actor): Promise<void>
  /** Says to the person that a dialog or a password prompt is about to open; not in a dry run. */
  announce(sentence: string): void
  /** The lasting file that holds these contents; `null`: none is known. */
  knownFile(contents: string): string | null
  /** Absent or not empty is success. */
  removeEmptyDirectory(directory: string, as: Actor): Promise<void>
}

export interface MachineOptions {
  /** The environment; `process.env` when left out. */
  env?: Readonly<Record<string, string | undefined>>
  dryRun?: boolean
  /** `forbidden`: nothing is done as root that would need sudo, and the error says so. */
  sudo?: 'allowed' | 'forbidden'
  /** Whether sudo may ask for a password; by default when standard input is a terminal. */
  interactive?: boolean
  /** Called with each command that changes the machine, before it runs, as a person would type it. */
  onCommand?: (command: string) => void
  /** Called before a dialog of the system opens, and once before sudo may ask for the password. */
  onPrompt?: (sentence: string) => void
  /** Contents to path: a dry run shows `< path` for a program that reads these contents. */
  knownFiles?: ReadonlyMap<string, string>
}

/** The machine that this process runs on. */
export async function createMachine(options: MachineOptions = {}): Promise<Machine> {
  const env = options.env ?? process.env
  const person = await findPerson(env)
  const isRoot = process.getuid?.() === 0
  // Windows has no sudo: who may not do it is told so by the program itself.
  const actsAsRoot = isRoot || process.getuid === undefined
  const interactive = options.interactive ?? process.stdin.isTTY
  const planned: string[] = []
  const knownFiles = options.knownFiles ?? new Map<string, string>()
  const sudo = createSudo()

  /** The person's own environment: root's would lead their programs to root's files. */
  const personalEnv = { ...env, HOME: person.home, USER: person.name, LOGNAME: person.name }
  const asPerson = person.viaSudo
    ? { env: personalEnv, uid: person.uid, gid: person.gid }
    : {
        env: {
          ...(isRoot ? { ...rootEnvironment(env), ...session(env) } : env),
          HOME: person.home,
        },
      }

  const machine: Machine = {
    env,
    person,
    planned,
    dryRun: options.dryRun ?? false,
    find: (program, { forRoot = false } = {}) => findProgram(program, env, isRoot || forRoot),

    query: (program, args, query) => run(program, args, { ...query, ...asPerson }),

    async change(program, args, { as, ...command }) {
      const prefix = as === 'root' ? (actsAsRoot ? [] : ['sudo']) : personPrefix()
      const shown = displayCommand([...prefix, program, ...args], command.input, knownFiles)
      if (machine.dryRun) {
        planned.push(shown)
        return { exitCode: 0, stdout: '', stderr: '' }
      }
      options.onCommand?.(shown)
      const limited = { timeLimit: timeLimits.change, ...command }
      if (as === 'person') return run(program, args, { ...limited, ...asPerson })
      if (actsAsRoot) return run(program, args, { ...limited, env: rootEnvironment(env) })
      return sudo(program, args, limited)
    },

    async writeFile(file, contents, as) {
      const mayWrite = as === 'root' ? actsAsRoot : !person.viaSudo
      if (machine.dryRun || !mayWrite) {
        const install = await toolOf('install')
        const args = ['-D', '-m', '0644', '/dev/stdin', file]
        expectSuccess('install', await machine.change(install, args, { as, input: contents }))
        return
      }
      options.onCommand?.(
        displayCommand(['install', '-D', '-m', '0644', '/dev/stdin', file], contents, knownFiles),
      )
      await writeAtomically(file, contents)
    },

    async removeFile(file, as) {
      if (!(await exists(file))) return
      const mayWrite = as === 'root' ? actsAsRoot : !person.viaSudo
      if (!machine.dryRun && mayWrite) {
        options.onCommand?.(displayCommand(['rm', '-f', file]))
        await rm(file, { force: true })
        return
      }
      expectSuccess('rm', await machine.change(await toolOf('rm'), ['-f', file], { as }))
    },

    announce(sentence) {
      if (!machine.dryRun) options.onPrompt?.(sentence)
    },

    knownFile: (contents) => knownFiles.get(contents) ?? null,

    async removeEmptyDirectory(directory, as) {
      if (!(await exists(directory))) return
      const mayWrite = as === 'root' ? actsAsRoot : !person.viaSudo
      if (!machine.dryRun && mayWrite) {
        await rmdir(directory).catch((error: NodeJS.ErrnoException) => {
          if (error.code !== 'ENOTEMPTY' && error.code !== 'ENOENT') throw error
        })
        return
      }
      await machine.change(await toolOf('rmdir'), ['--ignore-fail-on-non-empty', directory], { as })
    },
  }
  return machine

  function personPrefix() {
    return person.viaSudo ? ['sudo', '-u', person.name] : []
  }

  async function toolOf(name: string) {
    const program = await machine.find(name, { forRoot: true })
    if (program !== null) return program
    throw new RootlingError(
      'tool-missing',
      `The program ${name} is not in the system's directories.`,
    )
  }

  /** One sudo at a time: two password prompts at once would share a terminal. */
  function createSudo() {
    let last: Promise<unknown> = Promise.resolve()
    let announced = false
    return (program: string, args: readonly string[], command: CommandOptions) => {
      const next = last.then(() => viaSudo(program, args, command))
      last = next.catch(() => undefined)
      return next
    }

    async function viaSudo(program: string, args: readonly string[], command: CommandOptions) {
      const what = path.basename(program)
      if (options.sudo === 'forbidden') {
        throw needsRoot(
          `${what} needs root, and sudo was not allowed.`,
          'run it again without --no-sudo',
        )
      }
      const sudoProgram = await machine.find('sudo', { forRoot: true })
      if (sudoProgram === null) {
        throw needsRoot(
          `${what} needs root, and sudo is not on this machine.`,
          'run it again as root',
        )
      }
      // What root runs must be root's own: a program in ~/bin would become root by our hand.
      if (!(await isTrustedProgram(program))) {
        throw needsRoot(`${program} can be changed by others than root, so it is not run as root.`)
      }
      const ready = await run(sudoProgram, ['-n', '--', '/bin/true'], { env })
      if (ready.exitCode !== 0 && !interactive) {
        throw needsRoot(
          `${what} needs root, and sudo would ask for a password where nobody can type one.`,
          'run it again in a terminal, or type sudo -v first',
        )
      }
      if (ready.exitCode !== 0) {
        if (!announced) options.onPrompt?.(`sudo asks for the password of ${person.name}.`)
        announced = true
        const asked = await run(sudoProgram, ['-v'], { env, timeLimit: timeLimits.dialog })
        if (asked.exitCode !== 0) {
          throw needsRoot(`${what} needs root, and sudo did not let ${person.name} in.`)
        }
      }
      const line = [interactive ? '--' : '-n', program, ...args]
      return run(sudoProgram, line, { ...command, env: rootEnvironment(env) })
    }
  }
}

/** By which a person's own service manager is found, root's too. */
function session({ XDG_RUNTIME_DIR, DBUS_SESSION_BUS_ADDRESS }: Machine['env']) {
  return { XDG_RUNTIME_DIR, DBUS_SESSION_BUS_ADDRESS }
}

function needsRoot(sentence: string, hint?: string) {
  return new RootlingError('store-failed', sentence, { hint })
}

async function writeAtomically(file: string, contents: string) {
  await makeReadableDirectory(path.dirname(file))
  const temporary = `${file}.rootling-${process.pid}`
  try {
    await writeFile(temporary, contents, { mode: 0o644, flag: 'wx' })
    // A strict umask would leave a root certificate that only root can read.
    await chmod(temporary, 0o644)
    await rename(temporary, file)
  } catch (error) {
    await rm(temporary, { force: true })
    throw new RootlingError('store-failed', `${file} cannot be written.`, { cause: error })
  }
}

async function makeReadableDirectory(directory: string): Promise<void> {
  if (await exists(directory)) return
  await makeReadableDirectory(path.dirname(directory))
  await mkdir(directory).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error
  })
  await chmod(directory, 0o755)
}

/** Whether something is at this path, a dangling link included. */
async function exists(file: string): Promise<boolean> {
  return lstat(file).then(
    () => true,
    () => false,
  )
}
