import path from 'node:path'
import { isFullPath } from '../../src/full-path.ts'

type Environment = Readonly<Record<string, string | undefined>>

/** Returns the directory of Windows' own programs, which only an administrator can change. */
export function system32(env: Environment): string {
  const named = env['SystemRoot'] ?? env['SYSTEMROOT'] ?? ''
  return path.win32.join(isFullPath(named, 'win32') ? named : String.raw`C:\Windows`, 'System32')
}

/** Returns the path of one of Windows' own programs, given its path below `System32`. */
export function systemProgram(program: string, env: Environment): string {
  return path.win32.join(system32(env), program)
}
