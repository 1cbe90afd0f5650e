import { resolve } from 'node:path'
import { readPassphrase } from '../replica/key-source.ts'
import { wrappedPassphrase } from '../replica/wrapped-passphrase.ts'
import type { Database } from '../storage/postgres/database.ts'
import { openSealer, type Sealer } from '../storage/postgres/seal.ts'
import type { Context } from './context.ts'

export interface KeyArguments {
  readonly 'passphrase-file'?: string | undefined
  readonly 'key-command'?: string | undefined
  readonly 'key-pkcs11'?: string | undefined
}

/**
 * Returns the passphrase that a command was given, so that a wrong word is noticed before the database is
 * changed; `null`: a PKCS #11 module unwraps the one that is kept in the database. Throws what
 * `readPassphrase` throws.
 */
export async function namedPassphrase(
  args: KeyArguments,
  { cwd, env }: Context,
): Promise<string | null> {
  if (args['key-pkcs11'] !== undefined) return null
  const path = (word: string | undefined) => (word === undefined ? undefined : resolve(cwd, word))
  const source = {
    passphraseFile: path(args['passphrase-file']),
    keyCommand: path(args['key-command']),
  }
  return readPassphrase(source, env)
}

interface OpenKeysOptions {
  /** What `namedPassphrase` returned; by default it is asked here. */
  readonly named?: string | null
  /** Whether a passphrase is chosen for a module where there is no authority yet. */
  readonly make?: boolean
}

/**
 * Returns what opens the keys in a database that has its schema. Throws what `readPassphrase` and
 * `wrappedPassphrase` throw.
 */
export async function openKeys(
  args: KeyArguments,
  context: Context,
  database: Database,
  { named, make = false }: OpenKeysOptions = {},
): Promise<Sealer> {
  const passphrase = named === undefined ? await namedPassphrase(args, context) : named
  const uri = args['key-pkcs11'] ?? ''
  return openSealer(
    database,
    passphrase ?? (await wrappedPassphrase(database, { uri, env: context.env, make })),
  )
}
