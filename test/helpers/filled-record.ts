import { mkdirSync, writeFileSync } from 'node:fs'
import type { StateDirectory } from '../../src/home/state-directory.ts'
import { recordPath } from '../../src/storage/files/record.ts'
import type { CertificateRecord } from '../../src/storage/records.ts'

/** The serial number of the certificate `i` of these tests. */
export const serialOf = (i: number): string => `40${i.toString(16).padStart(30, '0')}`

/** A certificate on record; its names, dates and file can be given. */
export function certificate(i: number, given: Partial<CertificateRecord> = {}): CertificateRecord {
  return {
    serialNumber: serialOf(i),
    scope: 'local',
    identifiers: [{ type: 'dns', value: `host${i}.localhost` }],
    notBefore: '2026-01-01T00:00:00.000Z',
    notAfter: '2027-01-01T00:00:00.000Z',
    keyType: 'p256',
    purpose: 'server',
    fingerprint: i.toString(16).padStart(64, '0'),
    certPath: `/files/host${i}.pem`,
    keyPath: null,
    ...given,
  }
}

export const issued = (i: number, given: Partial<CertificateRecord> = {}): object => ({
  event: 'issued',
  ...certificate(i, given),
})

export const revoked = (i: number): object => ({
  event: 'revoked',
  serialNumber: serialOf(i),
  reason: 'superseded',
  revokedAt: '2026-02-01T00:00:00.000Z',
})

export const released = (i: number): object => ({
  event: 'released',
  serialNumber: serialOf(i),
  releasedAt: '2026-03-01T00:00:00.000Z',
})

export const forgotten = (i: number): object => ({
  event: 'forgotten',
  serialNumber: serialOf(i),
  forgottenAt: '2026-03-01T00:00:00.000Z',
})

export const linesOf = (events: readonly object[]): string =>
  events.map((event) => `${JSON.stringify(event)}\n`).join('')

/** Writes the record of a state directory, made of such events. */
export function writeRecord(state: StateDirectory, events: readonly object[]): void {
  mkdirSync(state.path, { recursive: true, mode: 0o700 })
  writeFileSync(recordPath(state), linesOf(events), { mode: 0o600 })
}
