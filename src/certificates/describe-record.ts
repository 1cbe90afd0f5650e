import type { CertificateRecord } from '../storage/records.ts'
import { useOf } from './use.ts'

/** A certificate on record as `--json` prints it and the library returns it. */
export interface DescribedRecord extends CertificateRecord {
  /** What it is for. The `purpose` of one for mail is `server` too. */
  readonly use: (typeof useWords)[keyof typeof useWords]
  /** The values of `identifiers`. */
  readonly names: readonly string[]
}

/** Returns a recorded certificate as `--json` prints it; docs/json.md documents its shape. */
export function describeRecord(record: CertificateRecord): DescribedRecord {
  return { ...record, use: useWord(record), names: record.identifiers.map(({ value }) => value) }
}

/** Returns the word for what a certificate is for, which `list` and `--json` print. */
export const useWord = (record: CertificateRecord): DescribedRecord['use'] =>
  useWords[useOf(record)]

const useWords = { servers: 'server', clients: 'client', mail: 'mail' } as const
