import { mkdir, rm, rmdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import type { CommandResult } from '../../platform/command.ts'
import type { Machine } from '../../platform/machine.ts'

interface FakeOptions {
  home?: string
  env?: Record<string, string>
  /** The programs that are there: name to path. */
  programs?: Readonly<Record<string, string>>
  /** What a program answers; exit code 0 and nothing when left out. */
  answer?: (program: string, args: readonly string[]) => Partial<CommandResult>
}

/** A machine that writes real files below a temporary directory and only writes down its commands. */
export function createFakeMachine(options: FakeOptions = {}): Machine & { commands: string[] } {
  const commands: string[] = []
  const programs = options.programs ?? {}
  const result = (program: string, args: readonly string[]): CommandResult => ({
    exitCode: 0,
    stdout: '',
    stderr: '',
    ...options.answer?.(program, args),
  })
  return {
    commands,
    env: options.env ?? {},
    person: {
      name: 'ada',
      uid: 1000,
      gid: 1000,
      home: options.home ?? '/home/ada',
      viaSudo: false,
    },
    dryRun: false,
    planned: [],
    find: async (program) => programs[program] ?? null,
    query: async (program, args) => result(program, args),
    async change(program, args, { as }) {
      commands.push([as, program, ...args].join(' '))
      return result(program, args)
    },
    async writeFile(file, contents) {
      await mkdir(path.dirname(file), { recursive: true })
      await writeFile(file, contents)
    },
    replaceFile: (file, contents) => writeFile(file, contents),
    removeFile: (file) => rm(file, { force: true }),
    alone: (_directory, work) => work(),
    announce: () => {},
    knownFile: () => null,
    removeEmptyDirectory: (directory) => rmdir(directory).catch(() => undefined),
  }
}
