import { keptPassword } from '../certificates/pkcs12-passwords.ts'
import { RootlingError, WrongPassword } from '../errors.ts'
import type { Context } from './context.ts'
import { readFirstLine } from './read-input.ts'
import { quotedPath } from '../shell-word.ts'

export interface Pkcs12File {
  readonly path: string
  /** The name by which the person gave the file, for sentences. */
  readonly shown: string
  /** `--password-file`, as it was typed. */
  readonly passwordFile: string | undefined
}

const mostTries = 3

/**
 * Opens a PKCS #12 file with the password of `--password-file`, or with the one that was kept beside
 * a file that was made here, or with one that the person types, in three tries. Throws what `open`
 * throws, and `usage` where nobody can be asked.
 */
export async function withPkcs12Password<T>(
  { path, shown, passwordFile }: Pkcs12File,
  { state, cwd, interactive, output }: Context,
  open: (password: string) => T | Promise<T>,
): Promise<T> {
  if (passwordFile !== undefined) return open(await readFirstLine(passwordFile, cwd))
  const kept = await keptPassword(state, path)
  if (kept !== null)
    try {
      return await open(kept)
    } catch (error) {
      // The file was replaced since; the person may know the password of the new one.
      if (!(error instanceof WrongPassword) || !interactive) throw error
    }
  if (!interactive)
    throw new RootlingError(
      'usage',
      `${quotedPath(shown)} needs its password, and nobody can be asked.`,
      {
        hint: '--password-file FILE',
      },
    )
  for (let tries = 1; ; tries++)
    try {
      return await open(
        await (await import('./ask.ts')).askSecret(`Password of ${quotedPath(shown)}: `),
      )
    } catch (error) {
      if (!(error instanceof WrongPassword) || tries === mostTries) throw error
      output.warn(`${error.message} Try again.`)
    }
}
