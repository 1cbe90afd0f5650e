import { closeSync } from 'node:fs'
import { RootlingError } from '../../errors.ts'
import { openNoFollow, refuseOtherWriters } from '../../files/read.ts'
import { stampOf } from '../../files/stamp.ts'
import type { StateDirectory } from '../../home/state-directory.ts'
import type { CertificateReader, Due } from '../storage.ts'
import { recordPath, tellDamage, type ReadingOptions } from './record.ts'
import { createRecordIndex, type RecordIndex } from './record-index.ts'

/** The index of each state directory, for as long as its object is in use. */
const indexes = new WeakMap<StateDirectory, RecordIndex>()

/**
 * Reads the certificates on record in a state directory. The first question reads the whole record;
 * every later one reads only what was appended since, also by other processes, because an index is
 * kept for the state directory's object. Throws `corrupt-state` where a line is damaged, unless
 * there is `onDamage`. `due`, whose certificates are renewed with the commands on record, throws
 * `loose-key` where another user can write to the record.
 */
export function certificatesOf(
  state: StateDirectory,
  { onDamage }: ReadingOptions = {},
): CertificateReader {
  const path = recordPath(state)
  const index = indexes.get(state) ?? createRecordIndex(path)
  indexes.set(state, index)

  /** Brings the index up to date; `null`: there is no record. Returns the open file. */
  function open(): number | null {
    const file = openNoFollow(path)
    if (file === null) {
      index.clear()
      return null
    }
    try {
      index.follow(file)
      tellDamage(path, index.damaged(), onDamage)
      return file
    } catch (error) {
      closeSync(file)
      throw error
    }
  }

  function ask<T>(question: (file: number) => T, absent: T): T {
    for (let isAnew = false; ; isAnew = true) {
      const file = open()
      if (file === null) return absent
      try {
        return question(file)
      } catch (error) {
        if (isAnew || !(error instanceof RootlingError) || error.code !== 'corrupt-state')
          throw error
        // The file was written over and looks as before.
        index.clear()
      } finally {
        closeSync(file)
      }
    }
  }

  async function* pages(wanted: Parameters<RecordIndex['pages']>[1]) {
    const file = open()
    if (file === null) return
    try {
      yield* index.pages(file, wanted)
    } catch (error) {
      index.clear()
      throw error
    } finally {
      closeSync(file)
    }
  }

  return {
    version: () => stampOf(path),
    find: async (serialNumber) => ask((file) => index.find(file, serialNumber), null),
    findByFingerprint: async (fingerprint) =>
      ask((file) => index.findByFingerprint(file, fingerprint), null),
    findByFile: async (certPath) => ask((file) => index.findByFile(file, certPath), null),
    revocationOf: async (serialNumber) =>
      ask((file) => index.revocationOf(file, serialNumber), null),
    revoked: async (scope, notBefore) => ask((file) => index.revoked(file, scope, notBefore), []),
    revocationsVersion: async (scope) => ask(() => String(index.revocationsOf(scope)), 'absent'),
    due: async (at, options) =>
      ask<Due>(
        (file) => {
          refuseOtherWriters('record', path, file, state.owner)
          return index.due(file, at, options)
        },
        { entries: [], next: null },
      ),
    current: ({ printed = false } = {}) => pages(printed ? 'current' : 'current in files'),
    all: () => pages('all'),
  }
}
