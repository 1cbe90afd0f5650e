import { RootlingError } from '../../src/errors.ts'
import { expectSuccess, run } from '../command.ts'
import { systemProgram } from './system-program.ts'

type Environment = Readonly<Record<string, string | undefined>>
type Run = typeof run

/**
 * Lets only the current user read and write a file on Windows, where file modes have no effect:
 * removes inherited rights, and grants one to the user. Files made in such a directory inherit that
 * right. The user is named by SID, because names are localized, and `%USERNAME%` can be set to
 * anything. Throws `tool-failed`.
 */
export async function restrictToUser(
  file: string,
  kind: 'file' | 'directory' = 'file',
  env: Environment = process.env,
  runProgram: Run = run,
): Promise<void> {
  const sid = runProgram === run ? await currentUser() : await askWhoami(env, runProgram)
  const grant = kind === 'file' ? `*${sid}:F` : `*${sid}:(OI)(CI)F`
  const args = [file, '/inheritance:r', '/grant:r', grant, '/q']
  expectSuccess('icacls', await runProgram(systemProgram('icacls.exe', env), args, { env }))
}

let user: Promise<string> | undefined

/** Returns the SID of the user of this process, which is asked for until it is known. Throws `tool-failed`. */
export function currentUser(): Promise<string> {
  return (user ??= askWhoami(process.env, run).catch((error: unknown) => {
    user = undefined
    throw error
  }))
}

async function askWhoami(env: Environment, runProgram: Run): Promise<string> {
  const args = ['/user', '/fo', 'csv', '/nh']
  const answer = await runProgram(systemProgram('whoami.exe', env), args, { env })
  const sid = /"(S-1-[\d-]+)"/.exec(expectSuccess('whoami', answer).stdout)?.[1]
  if (sid === undefined) throw new RootlingError('tool-failed', 'whoami named no user.')
  return sid
}
