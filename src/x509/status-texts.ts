import { expectInteger, isUniversal, unexpected, type DerValue } from './asn1-reader.ts'
import { reasonCodes } from './extensions.ts'

/*
 * What CRLs and OCSP responses share. Each function throws `bad-der`, with `what` at the beginning
 * of the sentence.
 */

/**
 * Reads a UTCTime or a GeneralizedTime. The two digits of a UTCTime's year mean 1950 to 2049 (RFC
 * 5280 §4.1.2.5.1).
 */
export function readAnyTime(value: DerValue | undefined, what: string): Date {
  const { tag, contents } = value ?? { tag: 0, contents: Buffer.alloc(0) }
  const digits = contents.toString('latin1')
  const full = tag === 0x17 ? `${digits < '50' ? '20' : '19'}${digits}` : digits
  const match = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(full)
  const [, year, month, date, hour, minute, second] = match ?? []
  const iso = `${year}-${month}-${date}T${hour}:${minute}:${second}`
  const time = new Date(`${iso}Z`)
  // Date reads the 30th of February as the 2nd of March.
  if (Number.isNaN(time.getTime()) || !time.toISOString().startsWith(iso))
    throw unexpected(what, 'a time')
  return time
}

/** Reads a serial number as lower-case hex of whole octets, after a minus sign if it is negative. */
export function serialText(value: DerValue | undefined, what: string): string {
  const number = expectInteger(value, what)
  const hex = (number < 0n ? -number : number).toString(16)
  return `${number < 0n ? '-' : ''}${hex.length % 2 === 0 ? hex : `0${hex}`}`
}

/** Reads a CRLReason (RFC 5280 §5.3.1); `null` stands for an absent one. */
export function reasonOf(value: DerValue | null): string {
  if (value === null) return 'unspecified'
  const code = isUniversal(value, 10) ? (value.contents[0] ?? -1) : -1
  const known = Object.entries(reasonCodes).find(([, number]) => number === code)
  return known?.[0] ?? `reason ${code}`
}
