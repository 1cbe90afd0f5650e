import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { RootlingError } from '../../src/errors.ts'
import { expectSuccess } from '../command.ts'
import { exists } from '../file-status.ts'
import type { Machine } from '../machine.ts'
import { noPassword, targetOf, type Certutil, type NssDatabase } from './database.ts'

/**
 * A file beside a database that Rootling created. It holds the path of the topmost directory that
 * was created with the database, or an empty line if none was.
 */
const markerName = 'rootling-created'

const databaseFiles = ['cert9.db', 'key4.db', 'pkcs11.txt']

/**
 * Creates an empty database for a browser that has none yet, and marks it as created by Rootling.
 */
export async function createDatabase(
  machine: Machine,
  database: NssDatabase,
  certutil: Certutil,
): Promise<void> {
  const { directory, as } = database
  const top = await firstMissing(directory)
  const mkdir = await machine.find('mkdir')
  if (mkdir === null) throw new RootlingError('tool-missing', 'mkdir is not there.')
  const made = await machine.change(mkdir, ['-p', '-m', '0700', directory], { as })
  expectSuccess('mkdir', made)
  const args = ['-N', '--empty-password', ...targetOf(database)]
  expectSuccess('certutil', await machine.change(await certutil.program(), args, { as }))
  await machine.writeFile(path.join(directory, markerName), `${top}\n`, as)
}

/** Removes a database that Rootling created, unless something else was put into it meanwhile. */
export async function removeCreatedDatabase(
  machine: Machine,
  { directory, as }: NssDatabase,
  certutil: Certutil,
): Promise<void> {
  const marker = path.join(directory, markerName)
  const top = (await readFile(marker, 'utf8').catch(() => null))?.trim()
  if (top === undefined) return
  const hasKeys = /^<\s*\d+>/m.test((await certutil.query('-K', ...noPassword)).stdout)
  const isEmpty = (await certutil.entries()).length === 0 && !hasKeys
  await machine.removeFile(marker, as)
  if (!isEmpty) return
  for (const name of databaseFiles) await machine.removeFile(path.join(directory, name), as)
  for (const made of upTo(top, directory)) await machine.removeEmptyDirectory(made, as)
}

/**
 * Returns a directory and those above it, up to `top`; none when the directory is not below `top`.
 */
function upTo(top: string, directory: string): string[] {
  if (top === '' || !`${directory}/`.startsWith(`${top}/`)) return []
  if (directory === top) return [top]
  return [directory, ...upTo(top, path.dirname(directory))]
}

/**
 * Returns the topmost directory of the path that does not exist yet; an empty string when all
 * exist.
 */
async function firstMissing(directory: string): Promise<string> {
  if (await exists(directory)) return ''
  let missing = directory
  while (!(await exists(path.dirname(missing)))) missing = path.dirname(missing)
  return missing
}
