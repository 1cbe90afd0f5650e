import { existsSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { RootlingError } from '../../src/errors.ts'
import { quotedPath, shellWord } from '../../src/shell-word.ts'
import type { Person } from '../person.ts'
import { isReadOnly, toMakeWritable } from '../read-only.ts'
import { readStart } from '../read-start.ts'
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
 * Returns the error of a database that NSS cannot open; `null`: it is another error. NSS says the same
 * of a damaged file, of one that may not be read and of one that is absent, so only what is no
 * database of SQLite is called damaged.
 */
export async function damagedBy(
  database: NssDatabase,
  error: unknown,
): Promise<RootlingError | null> {
  if (!(error instanceof Error) || !error.message.includes('SEC_ERROR_BAD_DATABASE')) return null
  const { directory, title, as } = database
  const file = databaseFileOf(database)
  const sudo = as === 'root' ? 'sudo ' : ''
  if (!(await isOtherFile(file)))
    return new RootlingError('store-failed', `NSS cannot open the database of ${title}.`, {
      hint: `Look whether its files are there, and yours to read: ${sudo}ls -l ${shellWord(directory)}`,
      cause: error,
    })
  const names = Array.from(
    { length: 100 },
    (_, i) => `${file}.damaged${i === 0 ? '' : `-${i + 1}`}`,
  )
  const moved = names.find((name) => !existsSync(name)) ?? `${file}.damaged-${Date.now()}`
  const move = ['mv', file, moved].map((word) => shellWord(word)).join(' ')
  return new RootlingError(
    'store-failed',
    `${title} is damaged: ${quotedPath(file)} is no database.`,
    {
      hint: `Close the browser, then: ${sudo}${move}`,
      cause: error,
    },
  )
}

/** Whether a file can be read and is none of SQLite's (https://sqlite.org/fileformat.html, 1.2). */
async function isOtherFile(path: string): Promise<boolean> {
  if (path.endsWith('cert8.db') || existsSync(`${path}-journal`)) return false
  const start = await readStart(path, 16)
  return start !== null && start.toString('latin1') !== 'SQLite format 3\0'
}
