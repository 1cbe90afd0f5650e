import { constants } from 'node:fs'
import { open, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { RootlingError } from '../errors.ts'
import type { StateDirectory } from '../paths.ts'
import type { Identifier } from '../x509/identifier.ts'
import type { KeyType } from '../x509/keys.ts'
import { readText, shellWord, unwritable } from './files.ts'

/** One issued certificate, as recorded before its files were written. */
export interface CertificateRecord {
  /** Lower-case hex, 32 digits. */
  readonly serialNumber: string
  /** Name of the scope that signed it. */
  readonly scope: string
  readonly identifiers: readonly Identifier[]
  /** ISO 8601, UTC. */
  readonly notBefore: string
  readonly notAfter: string
  readonly keyType: KeyType
  readonly purpose: 'server'
  /** SHA-256 of the certificate's DER, hex. */
  readonly fingerprint: string
  /** Absolute; `null`: printed, not written. */
  readonly certPath: string | null
  readonly keyPath: string | null
}

type Event = { readonly event: 'issued' } & CertificateRecord

/** Octets; a certificate of the most and longest names that `issue` takes stays far below. */
const longestLine = 256 * 1024

const fileOf = (state: StateDirectory): string => join(state.path, 'certificates.jsonl')

/**
 * Adds an issued certificate to the record: one synced line at the end of a file, so that the
 * cost does not grow with the record. Only for whoever holds the lock.
 */
export async function recordIssued(
  state: StateDirectory,
  record: CertificateRecord,
): Promise<void> {
  const event: Event = { event: 'issued', ...record }
  const path = fileOf(state)
  try {
    const flags =
      constants.O_RDWR | constants.O_CREAT | constants.O_APPEND | (constants.O_NOFOLLOW ?? 0)
    const handle = await open(path, flags, 0o600)
    try {
      if (state.owner !== null) await handle.chown(state.owner.uid, state.owner.gid)
      const end = await dropTornLine(handle)
      await appendOrUndo(handle, `${JSON.stringify(event)}\n`, end)
    } finally {
      await handle.close()
    }
  } catch (error) {
    throw unwritable(path, error)
  }
}

/** A full disk may take half a line: it is taken back, so that the record stays whole. */
async function appendOrUndo(handle: FileHandle, line: string, end: number): Promise<void> {
  try {
    await handle.writeFile(line)
    await handle.sync()
  } catch (error) {
    await handle.truncate(end).catch(() => undefined)
    throw error
  }
}

/** Cuts off an unfinished last line, left by a writer that died; returns the file's length. */
async function dropTornLine(handle: FileHandle): Promise<number> {
  const { size } = await handle.stat()
  const window = Buffer.alloc(Math.min(size, longestLine))
  await handle.read(window, 0, window.length, size - window.length)
  const newline = window.lastIndexOf(0x0a)
  if (newline < 0 && size > window.length)
    throw new RootlingError('corrupt-state', 'The record of certificates has no lines.')
  const end = size - window.length + newline + 1
  if (end < size) await handle.truncate(end)
  return end
}

/**
 * The whole record, oldest first. An unfinished last line was never acknowledged and is passed
 * over; any other line that cannot be read throws `corrupt-state`, and nothing is changed.
 */
export async function readRecord(state: StateDirectory): Promise<CertificateRecord[]> {
  const path = fileOf(state)
  const text = (await readText(path, 512 * 1024 * 1024)) ?? ''
  const lines = text.split('\n')
  lines.pop()
  return lines.map((line, i) => parseLine(line, path, i + 1))
}

function parseLine(line: string, path: string, number: number): CertificateRecord {
  try {
    const { event, ...record } = JSON.parse(line) as Event
    if (event === 'issued' && isRecord(record)) return record
  } catch {
    // Falls through to the sentence below, which says more than the parser's.
  }
  throw new RootlingError('corrupt-state', `Line ${number} of the record ${path} is damaged.`, {
    hint: `Restore it from a backup, or delete that line: sed -i ${number}d ${shellWord(path)}`,
  })
}

function isRecord(value: Partial<CertificateRecord>): value is CertificateRecord {
  return (
    /^[0-9a-f]{2,40}$/.test(value.serialNumber ?? '') &&
    typeof value.scope === 'string' &&
    Array.isArray(value.identifiers) &&
    !Number.isNaN(Date.parse(value.notBefore ?? '')) &&
    !Number.isNaN(Date.parse(value.notAfter ?? ''))
  )
}
