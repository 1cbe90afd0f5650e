import type { CommandResult, CommandOptions } from './command.ts'

/** Who the work is for: the caller, or with sudo the person who typed it. */
export interface Person {
  readonly name: string
  readonly uid: number
  readonly gid: number
  readonly home: string
  /** The process is root on this person's behalf. */
  readonly viaSudo: boolean
}

/**
 * The world that adapters act on. `query` never changes anything and runs in a dry run too;
 * the others change the machine, and a dry run only records them as a person would type them.
 */
export interface Machine {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly person: Person
  /** Absolute path of a program, from trusted directories only when root; `null`: not there. */
  find(program: string): Promise<string | null>
  query(program: string, args: readonly string[], options?: CommandOptions): Promise<CommandResult>
  /** Runs as root (through sudo where needed) or, with `as: 'person'`, as the person. */
  change(
    program: string,
    args: readonly string[],
    options: CommandOptions & { as: 'root' | 'person' },
  ): Promise<CommandResult>
  /** Writes a whole file, mode 0644, atomically where this process may; parents are created. */
  writeFile(path: string, contents: string, as: 'root' | 'person'): Promise<void>
  /** Absent is success. */
  removeFile(path: string, as: 'root' | 'person'): Promise<void>
}
