import { randomBytes } from 'node:crypto'
import { RootlingError } from '../errors.ts'
import type { Database } from '../storage/postgres/database.ts'
import { keepWrapped, readWrapped } from '../storage/postgres/wrapped.ts'
import { openWrappingKey, type WrappingKey } from './pkcs11.ts'
import { parsePkcs11Uri } from './pkcs11-uri.ts'

interface WrappedOptions {
  /** A URI of RFC 7512, see `parsePkcs11Uri`. */
  readonly uri: string
  readonly env: Readonly<Record<string, string | undefined>>
  /** Whether a passphrase is made where the database has no authority yet. */
  readonly make?: boolean | undefined
}

/**
 * Returns the passphrase that opens the keys in a database, which is kept there too, wrapped by the key of
 * a PKCS #11 module: a copy of the database and of this machine's files opens nothing. Throws what
 * `parsePkcs11Uri` and `openWrappingKey` throw, and `bad-key` for an authority whose passphrase is kept
 * elsewhere.
 */
export async function wrappedPassphrase(
  database: Database,
  { uri, env, make = false }: WrappedOptions,
): Promise<string> {
  const key = await openWrappingKey(parsePkcs11Uri(uri), env)
  const kept = await readWrapped(database)
  if (kept !== null) return key.unwrap(kept)
  if (!make) throw keptElsewhere(database)
  const { wrapped } = await chosenBy(key)
  const chosen = await keepWrapped(database, wrapped)
  if (chosen === null) throw keptElsewhere(database)
  return key.unwrap(chosen)
}

/** Chooses a passphrase for `server rekey`. Throws what `wrappedPassphrase` throws of the URI. */
export async function newWrappedPassphrase({
  uri,
  env,
}: Omit<WrappedOptions, 'make'>): Promise<Chosen> {
  return chosenBy(await openWrappingKey(parsePkcs11Uri(uri), env))
}

interface Chosen {
  readonly passphrase: string
  readonly wrapped: Buffer
}

async function chosenBy(key: WrappingKey): Promise<Chosen> {
  const passphrase = randomBytes(32).toString('base64url')
  const wrapped = await key.wrap(passphrase)
  // Before anything is sealed with it, the module has to show that it can open it.
  if ((await key.unwrap(wrapped)) === passphrase) return { passphrase, wrapped }
  throw new RootlingError('tool-failed', 'The module opened another text than it was given.', {
    hint: 'Is the public key in the token that of the private one?',
  })
}

const keptElsewhere = ({ place }: Database): RootlingError =>
  new RootlingError('bad-key', `No passphrase in ${place} was wrapped by a PKCS #11 module.`, {
    hint: 'Open it by --passphrase-file or --key-command, or move it: rootling server rekey',
  })
