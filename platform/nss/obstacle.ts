import { stat } from 'node:fs/promises'
import { RootlingError } from '../../src/errors.ts'
import { shellWord } from '../../src/shell-word.ts'
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
