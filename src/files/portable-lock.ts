import { closeSync, constants, fchownSync, lstatSync, openSync } from 'node:fs'
import { createRequire } from 'node:module'
import { RootlingError } from '../errors.ts'
import { quotedPath } from '../shell-word.ts'
import { asOwner } from './as-owner.ts'
import { hasCode, unwritable } from './errors.ts'
import type { Owner } from './owner.ts'

/** A file that is open to be locked. */
export interface LockFile {
  /** Tries to take the lock, without waiting. Returns whether this process has it now. */
  tryLock(): boolean
  /** Whether its path still leads to the file. */
  isInPlace(): boolean
  /** Closes the file, which gives the lock back. */
  close(): void
}

/**
 * Opens a file to lock it where the add-on of `lock.ts` does not run: in Deno and Bun, on systems that
 * it was not built for, and in the single executable where that can load none. SQLite, which comes with each of them, takes the kernel's lock on
 * some octets of an empty database, which stays empty. The kernel keeps it from everybody who has
 * the add-on's lock, which is on all octets, and the other way round, and releases it when the
 * process ends; so there is no holder to look for, and nothing to take over.
 *
 * The kernel releases SQLite's lock, unlike the add-on's, as soon as its process closes the file,
 * whichever way it was opened there (https://www.sqlite.org/howtocorrupt.html §2.2). So a process
 * that locks this way must open the file in no other one. SQLite itself sees to that: it keeps one
 * connection of a process from another one, and a file open that has a lock.
 *
 * Throws `unsupported` without SQLite, and `state-unwritable`.
 */
export function openPortableLock(path: string, owner: Owner | null): LockFile {
  const Database = loadSqlite()
  const before = createMissing(path, owner)
  const database = orUnwritable(path, () => asOwner(owner, () => new Database(path)))
  let held = false
  const take = (): boolean => {
    try {
      // Never wait in SQLite, which would stop all else in this process, and write no journal.
      database.exec('PRAGMA busy_timeout = 0; PRAGMA journal_mode = MEMORY; BEGIN IMMEDIATE')
      return (held = true)
    } catch (error) {
      // Deno's error has no number.
      if (error instanceof Error && error.message === 'database is locked') return false
      throw error
    }
  }
  return {
    tryLock: () => orUnwritable(path, () => asOwner(owner, take)),
    // SQLite does not say which file it opened: it is the one that was there before and still is.
    isInPlace: () => before !== null && identityOf(path) === before,
    close() {
      // Bun may close the file later, when it collects garbage.
      if (held) database.exec('ROLLBACK')
      database.close()
    },
  }
}

/** Creates a file that is absent. Returns its identity. */
function createMissing(path: string, owner: Owner | null): string | null {
  try {
    const found = lstatSync(path, { throwIfNoEntry: false })
    // SQLite would follow a link.
    if (found?.isFile() === false)
      throw new RootlingError('state-unwritable', `${quotedPath(path)} is no regular file.`, {
        hint: 'See who put it there, and delete it',
      })
    // Another process may create the file meanwhile: then it is not opened here. Nothing here holds
    // a lock on a new file, so that it can be closed.
    if (found === undefined) {
      const flags = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL
      const file = asOwner(owner, () => openSync(path, flags, 0o600))
      if (owner !== null) fchownSync(file, owner.uid, owner.gid)
      closeSync(file)
    }
  } catch (error) {
    if (!hasCode(error, 'EEXIST')) throw unwritable(path, error)
  }
  return identityOf(path)
}

/** Returns a text that another file at this path would not have; `null`: none is there. */
function identityOf(path: string): string | null {
  const found = lstatSync(path, { throwIfNoEntry: false, bigint: true })
  return found === undefined ? null : `${found.dev} ${found.ino} ${found.birthtimeNs}`
}

function orUnwritable<T>(path: string, step: () => T): T {
  try {
    return step()
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new RootlingError('state-unwritable', `${quotedPath(path)} cannot be locked: ${why}.`, {
      hint: 'See who may write to the file, and whether its disk has locks',
      cause,
    })
  }
}

/** What is called here of SQLite. */
type Database = new (path: string) => { exec(sql: string): void; close(): void }

/** Loads SQLite without the warning of Node 22 that it is an experiment. */
function loadSqlite(): Database {
  const load = createRequire(import.meta.filename)
  // Bun had a module of its own before it had Node's.
  if ('bun' in process.versions) return (load('bun:sqlite') as { Database: Database }).Database
  // oxlint-disable-next-line typescript/unbound-method -- it is put back
  const { emitWarning } = process
  process.emitWarning = () => undefined
  try {
    return (load('node:sqlite') as { DatabaseSync: Database }).DatabaseSync
  } catch (cause) {
    const { platform, arch, versions } = process
    const runtime =
      versions['deno'] === undefined ? `Node ${versions.node}` : `Deno ${versions['deno']}`
    const sentence = `Rootling cannot lock its files: it has no add-on for ${platform}-${arch}, and ${runtime} has no SQLite.`
    throw new RootlingError('unsupported', sentence, {
      hint: 'Use Node 22.13 or newer, Deno 2.2 or newer, or Bun',
      cause,
    })
  } finally {
    process.emitWarning = emitWarning
  }
}
