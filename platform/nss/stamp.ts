import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import path from 'node:path'
import { isTaken } from '../file-status.ts'
import { databaseFileOf, type NssDatabase } from './database.ts'

/** The files by which NSS answers: the certificates, what seals their trust, and the modules. */
const files = ['cert9.db', 'key4.db', 'pkcs11.txt']

/** The octets of SQLite's header; its change counter is at 24 (sqlite.org/fileformat.html, 1.3.7). */
const headerLength = 100

/**
 * Returns a text that changes with whatever certutil would say of a database; `null`: nobody can
 * say, as of a database of the older kind, or of one that a program is writing. SQLite counts the
 * changes of a database in its header, so two within one tick of the clock are told apart.
 */
export async function stampOfDatabase(database: NssDatabase): Promise<string | null> {
  if (database.scheme !== 'sql') return null
  for (const suffix of ['-journal', '-wal'])
    if (await isTaken(databaseFileOf(database) + suffix)) return null
  try {
    return files.map((name) => stampOfFile(path.join(database.directory, name))).join(' ')
  } catch {
    return null
  }
}

function stampOfFile(path: string): string {
  const file = openSync(path, 'r')
  try {
    const { dev, ino, size, mtimeNs, ctimeNs } = fstatSync(file, { bigint: true })
    const header = Buffer.alloc(headerLength)
    readSync(file, header, 0, headerLength, 0)
    return [dev, ino, size, mtimeNs, ctimeNs, header.toString('hex', 24, 28)].join(':')
  } finally {
    closeSync(file)
  }
}
