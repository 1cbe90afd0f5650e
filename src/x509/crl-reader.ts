import {
  expectBits,
  expectExplicit,
  expectInteger,
  expectOctets,
  expectOid,
  expectSequence,
  isContext,
  isUniversal,
  readDer,
  unexpected,
  type DerValue,
} from './asn1-reader.ts'
import { nameText } from './foreign-names.ts'
import { reasonOf, readAnyTime, serialText } from './status-texts.ts'
import type { SignedValue } from './signature.ts'

/** The facts of any CRL (RFC 5280 §5). Texts hold no control characters. */
export interface CrlFacts {
  readonly issuer: string
  readonly thisUpdate: Date
  /** `null`: the CRL does not say. */
  readonly nextUpdate: Date | null
  /** Decimal; `null`: the CRL has none. */
  readonly crlNumber: string | null
  readonly revoked: readonly RevokedFacts[]
  readonly signed: SignedValue
}

interface RevokedFacts {
  /** Lower-case hex of whole octets. */
  readonly serialNumber: string
  readonly revocationDate: Date
  /** A name of RFC 5280 §5.3.1. */
  readonly reason: string
}

const what = 'The CRL'

/** Reads a CRL, DER. Throws `bad-der` for anything else. */
export function inspectCrl(der: Buffer): CrlFacts {
  const [tbs, algorithm, signature] = expectSequence(readDer(der, what), what)
  const fields = [...expectSequence(tbs, what)]
  if (tbs === undefined) throw unexpected(what, 'a list')
  if (isUniversal(fields[0], 2)) fields.shift()
  const [, issuer, thisUpdate, ...rest] = fields
  const nextUpdate = isUniversal(rest[0], 16) || isContext(rest[0], 0) ? undefined : rest.shift()
  const list = isUniversal(rest[0], 16) ? expectSequence(rest.shift(), what) : []
  const number = extensionIn(
    rest[0] === undefined ? undefined : expectExplicit(rest[0], 0, what),
    '2.5.29.20',
  )
  return {
    issuer: nameText(issuer),
    thisUpdate: readAnyTime(thisUpdate, what),
    nextUpdate: nextUpdate === undefined ? null : readAnyTime(nextUpdate, what),
    crlNumber: number === null ? null : expectInteger(number, what).toString(),
    revoked: list.map(readEntry),
    signed: { tbs: tbs.der, algorithm, signature: expectBits(signature, what) },
  }
}

function readEntry(entry: DerValue): RevokedFacts {
  const [serialNumber, revocationDate, extensions] = expectSequence(entry, what)
  const reason = extensionIn(extensions, '2.5.29.21')
  return {
    serialNumber: serialText(serialNumber, what),
    revocationDate: readAnyTime(revocationDate, what),
    reason: reasonOf(reason),
  }
}

/** Returns what an extension among Extensions holds; `null`: it is not there. */
function extensionIn(extensions: DerValue | undefined, oid: string): DerValue | null {
  if (extensions === undefined) return null
  for (const extension of expectSequence(extensions, what)) {
    const members = expectSequence(extension, what)
    if (expectOid(members[0], what) === oid)
      return readDer(expectOctets(members.at(-1), what), what)
  }
  return null
}
