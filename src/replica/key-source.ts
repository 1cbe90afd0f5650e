import { RootlingError } from '../errors.ts'
import { readSecretText } from '../files/secret-file.ts'
import { run } from '../../platform/command.ts'
import { quotedPath } from '../shell-word.ts'

/** Where the passphrase comes from that opens the keys in the database. */
export interface KeySource {
  /** The absolute path of a file whose first line it is. */
  readonly passphraseFile?: string | undefined
  /** The absolute path of a program that prints it, such as a script that asks a KMS. */
  readonly keyCommand?: string | undefined
}

/** A passphrase of fewer characters could be guessed from a dump of the database. */
const fewestCharacters = 16

/**
 * Returns the passphrase. Throws `usage` (none was named, or too short), `file-unreadable`, `loose-key`
 * for a file that others can read (see `readSecretText`), and `tool-missing`, `tool-failed` or `tool-timeout` for the program.
 */
export async function readPassphrase(
  { passphraseFile, keyCommand }: KeySource,
  env: Readonly<Record<string, string | undefined>>,
): Promise<string> {
  if (passphraseFile !== undefined)
    return checked(readFile(passphraseFile), quotedPath(passphraseFile))
  if (keyCommand !== undefined) return checked(await ask(keyCommand, env), quotedPath(keyCommand))
  throw new RootlingError('usage', 'Nothing opens the keys in the database.', {
    hint: '--passphrase-file FILE, --key-command PROGRAM, or --key-pkcs11 URI',
  })
}

function readFile(path: string): string {
  const text = readSecretText(path)
  if (text !== null) return text
  throw new RootlingError('file-unreadable', `There is no file ${quotedPath(path)}.`, {
    hint: `(umask 077 && openssl rand -base64 32 > ${quotedPath(path)})`,
  })
}

async function ask(program: string, env: Readonly<Record<string, string | undefined>>) {
  const { exitCode, stdout } = await run(program, [], { env, timeLimit: 30_000 })
  if (exitCode === 0) return stdout
  // What it printed may be a part of the secret.
  throw new RootlingError('tool-failed', `${quotedPath(program)} ended with code ${exitCode}.`, {
    hint: 'It has to print the passphrase, and end with code 0',
  })
}

function checked(text: string, source: string): string {
  const passphrase = text.split(/\r?\n/)[0] ?? ''
  if (passphrase.length >= fewestCharacters) return passphrase
  throw new RootlingError(
    'usage',
    `The passphrase of ${source} has fewer than ${fewestCharacters} characters.`,
    { hint: 'openssl rand -base64 32' },
  )
}
