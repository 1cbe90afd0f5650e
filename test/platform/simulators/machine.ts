import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { rm, rmdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { run, timeLimits, type CommandOptions } from '../../../platform/command.ts'
import type { Machine } from '../../../platform/machine.ts'
import { parentOf } from '../world.ts'

export interface SimulatedMachine extends Machine {
  /** The directory that stands for the machine's own. */
  readonly directory: string
  /** What was run to change something, `root` or `person` first, the program by its last name. */
  readonly commands: readonly string[]
  /** What was said before a dialog. */
  readonly announced: readonly string[]
  readState(name: string): Record<string, unknown>
  /** Merges into a simulator's state. */
  setState(name: string, changes: Record<string, unknown>): void
  remove(): void
}

export interface SimulatedOptions {
  /** A program's name or absolute path on the real machine, to the file name of its simulator. */
  programs: Readonly<Record<string, string>>
  home?: string
  env?: Record<string, string>
  dryRun?: boolean
  knownFiles?: ReadonlyMap<string, string>
  /** Milliseconds for a dialog, instead of two minutes. */
  dialogLimit?: number
  /** Exit codes have 32 bits, as on Windows itself. */
  wideExitCodes?: boolean
}

/** A machine whose programs are simulators, with their stores in a temporary directory. */
export function createSimulatedMachine(options: SimulatedOptions): SimulatedMachine {
  const directory = mkdtempSync(path.join(tmpdir(), 'machine-'))
  const commands: string[] = []
  const announced: string[] = []
  const planned: string[] = []
  const dryRun = options.dryRun ?? false
  const home = options.home ?? '/Users/ada'

  async function start(
    as: 'root' | 'person',
    program: string,
    args: readonly string[],
    command: CommandOptions = {},
  ) {
    const name = options.programs[program]
    const file = name === undefined ? program : path.join(import.meta.dirname, name)
    const codeFile = path.join(directory, 'exit-code')
    rmSync(codeFile, { force: true })
    const isDialog = command.timeLimit === timeLimits.dialog
    const limit = isDialog ? (options.dialogLimit ?? timeLimits.dialog) : timeLimits.dialog
    const env = {
      PATH: `${path.dirname(process.execPath)}:/usr/bin:/bin`,
      ...options.env,
      SIMULATED_MACHINE: directory,
      SIMULATED_ACTOR: as,
    }
    const result = await run(file, args, { ...command, timeLimit: limit, env })
    if (options.wideExitCodes !== true || !existsSync(codeFile)) return result
    return { ...result, exitCode: Number(readFileSync(codeFile, 'utf8')) }
  }

  return {
    directory,
    commands,
    announced,
    planned,
    dryRun,
    env: { ...options.env, HOME: home },
    person: { name: 'ada', uid: 501, gid: 20, home, viaSudo: false },
    find: async (program) => (program in options.programs ? program : null),
    query: (program, args, command) => start('person', program, args, command),
    async change(program, args, { as, ...command }) {
      const line = [as, program.split(/[\\/]/).at(-1), ...args].join(' ')
      if (dryRun) {
        planned.push(line)
        return { exitCode: 0, stdout: '', stderr: '' }
      }
      commands.push(line)
      return start(as, program, args, command)
    },
    async writeFile(file, contents) {
      writeFileSync(parentOf(file), contents)
    },
    async replaceFile(file, contents) {
      writeFileSync(file, contents)
    },
    removeFile: (file) => rm(file, { force: true }),
    removeEmptyDirectory: (each) => rmdir(each).catch(() => undefined),
    alone: (_directory, work) => work(),
    announce: (sentence) => void announced.push(sentence),
    knownFile: (contents) => options.knownFiles?.get(contents) ?? null,
    readState: (name) => JSON.parse(readFileSync(stateFile(name), 'utf8')),
    setState(name, changes) {
      const before = existsSync(stateFile(name)) ? readFileSync(stateFile(name), 'utf8') : '{}'
      writeFileSync(stateFile(name), JSON.stringify({ ...JSON.parse(before), ...changes }))
    },
    remove: () => rmSync(directory, { recursive: true, force: true }),
  }

  function stateFile(name: string): string {
    return path.join(directory, `${name}.json`)
  }
}

export const loginKeychain = '/Users/ada/Library/Keychains/login.keychain-db'
export const systemKeychain = '/Library/Keychains/System.keychain'

/** A Mac with both keychains and a person at its desktop, unless the state says otherwise. */
export function createMac(
  state: Record<string, unknown> = {},
  options: Partial<SimulatedOptions> = {},
): SimulatedMachine {
  const programs = {
    '/usr/bin/security': 'security.mjs',
    '/bin/launchctl': 'launchctl.mjs',
    '/usr/sbin/netstat': 'macos-netstat.mjs',
    '/bin/ps': 'macos-ps.mjs',
  }
  const machine = createSimulatedMachine({ programs, ...options })
  machine.setState('macos', {
    keychains: { [loginKeychain]: [], [systemKeychain]: [] },
    ...state,
  })
  return machine
}

/** A Windows; exit codes are as wide as there. */
export function createWindows(
  state: Record<string, unknown> = {},
  options: Partial<SimulatedOptions> = {},
): SimulatedMachine {
  const programs = {
    'C:\\Windows\\System32\\certutil.exe': 'windows-certutil.mjs',
    'C:\\Windows\\System32\\whoami.exe': 'windows-whoami.mjs',
    'C:\\Windows\\System32\\icacls.exe': 'windows-icacls.mjs',
    'C:\\Windows\\System32\\WindowsPowerShell\\v1.0\\powershell.exe': 'windows-powershell.mjs',
  }
  const machine = createSimulatedMachine({ programs, wideExitCodes: true, ...options })
  machine.setState('windows', state)
  return machine
}

/** Makes a directory below the machine's own. */
export function makeDirectory(machine: SimulatedMachine, directory: string): string {
  const made = path.join(machine.directory, directory)
  mkdirSync(made, { recursive: true })
  return made
}
