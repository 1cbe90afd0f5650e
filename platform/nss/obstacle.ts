import { stat } from 'node:fs/promises'
import { RootlingError } from '../../src/errors.ts'
import { quotedPath, shellWord } from '../../src/shell-word.ts'
import type { Person } from '../person.ts'
import { isReadOnly, toMakeWritable } from '../read-only.ts'
import { databaseFileOf, type NssDatabase } from './database.ts'

/**
 * Returns why the person cannot read or write a database, where its owner or its disk is the cause;
 * `null`: neither is. NSS calls both a bad database.
 */
export async function obstacleOf(
  database: NssDatabase,
  person: Pick<Person, 'name' | 'uid'>,
): Promise<RootlingError | null> {
  const { directory, title } = database
  if (isReadOnly(directory))
    return new RootlingError('store-failed', `${title} is on a read-only file system.`, {
      hint: toMakeWritable(directory),
    })
  const owner = (await stat(databaseFileOf(database)).catch(() => null))?.uid
  if (database.as === 'root' || owner === undefined || owner === person.uid) return null
  return new RootlingError(
    'store-failed',
    `${title} belongs to the user ${owner}, not to ${person.name}.`,
    { hint: `sudo chown -R ${shellWord(person.name)} ${shellWord(directory)}` },
  )
}

/**
 * Returns the error of a database that NSS cannot open and neither its owner nor its disk is the
 * cause; `null`: it is another error.
 */
export function damagedBy(database: NssDatabase, error: unknown): RootlingError | null {
  if (!(error instanceof Error) || !error.message.includes('SEC_ERROR_BAD_DATABASE')) return null
  const file = databaseFileOf(database)
  // One of its files may be damaged, or absent.
  const move = ['mv', file, `${file}.damaged`].map((word) => shellWord(word)).join(' ')
  const sentence = `${database.title} is damaged: NSS cannot open what is in ${quotedPath(database.directory)}.`
  return new RootlingError('store-failed', sentence, {
    hint: `Close the browser, then: ${database.as === 'root' ? 'sudo ' : ''}${move}`,
    cause: error,
  })
}
