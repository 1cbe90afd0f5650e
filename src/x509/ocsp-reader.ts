import {
  expectBits,
  expectExplicit,
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
import type { SignedValue } from './signature.ts'
import { readAnyTime, reasonOf, serialText } from './status-texts.ts'

/** The facts of any OCSP response (RFC 6960 §4.2). Texts hold no control characters. */
export interface OcspFacts {
  /** `successful`, or why the response says nothing of a certificate. */
  readonly responseStatus: string
  /** The responder's name, or the SHA-1 of its key in hex; `null`: the response is not signed. */
  readonly responder: string | null
  readonly producedAt: Date | null
  readonly statuses: readonly OcspStatusFacts[]
  readonly signed: SignedValue | null
}

interface OcspStatusFacts {
  readonly serialNumber: string
  readonly status: 'good' | 'revoked' | 'unknown'
  readonly revocationDate: Date | null
  /** `null`: it is not revoked. */
  readonly reason: string | null
  readonly thisUpdate: Date
  readonly nextUpdate: Date | null
}

const what = 'The OCSP response'

/** OCSPResponseStatus (RFC 6960 §4.2.1). */
const responseStatuses: Readonly<Record<number, string>> = {
  0: 'successful',
  1: 'malformedRequest',
  2: 'internalError',
  3: 'tryLater',
  5: 'sigRequired',
  6: 'unauthorized',
}

/** Reads an OCSP response, DER. Throws `bad-der` for anything else. */
export function inspectOcspResponse(der: Buffer): OcspFacts {
  const [status, bytes] = expectSequence(readDer(der, what), what)
  if (!isUniversal(status, 10)) throw unexpected(what, 'a status')
  const code = status.contents[0] ?? -1
  const responseStatus = responseStatuses[code] ?? `status ${code}`
  if (bytes === undefined)
    return { responseStatus, responder: null, producedAt: null, statuses: [], signed: null }
  const [type, octets] = expectSequence(expectExplicit(bytes, 0, what), what)
  if (expectOid(type, what) !== '1.3.6.1.5.5.7.48.1.1') throw unexpected(what, 'a basic response')
  const basic = readDer(expectOctets(octets, what), what)
  const [data, algorithm, signature] = expectSequence(basic, what)
  const fields = [...expectSequence(data, what)]
  if (data === undefined) throw unexpected(what, 'a response')
  if (isContext(fields[0], 0)) fields.shift()
  const [responder, producedAt, list] = fields
  return {
    responseStatus,
    responder: isContext(responder, 2)
      ? `key ${expectOctets(expectExplicit(responder, 2, what), what).toString('hex')}`
      : nameText(expectExplicit(responder, 1, what)),
    producedAt: readAnyTime(producedAt, what),
    statuses: expectSequence(list, what).map(readSingle),
    signed: { tbs: data.der, algorithm, signature: expectBits(signature, what) },
  }
}

function readSingle(single: DerValue): OcspStatusFacts {
  const [certId, certStatus, thisUpdate, next] = expectSequence(single, what)
  const [, , , serialNumber] = expectSequence(certId, what)
  const [revokedAt, reason] = isContext(certStatus, 1) ? certStatus.children : []
  const status = isContext(certStatus, 0)
    ? 'good'
    : isContext(certStatus, 1)
      ? 'revoked'
      : 'unknown'
  return {
    serialNumber: serialText(serialNumber, what),
    status,
    revocationDate: revokedAt === undefined ? null : readAnyTime(revokedAt, what),
    reason:
      status === 'revoked'
        ? reasonOf(reason === undefined ? null : expectExplicit(reason, 0, what))
        : null,
    thisUpdate: readAnyTime(thisUpdate, what),
    nextUpdate: isContext(next, 0) ? readAnyTime(expectExplicit(next, 0, what), what) : null,
  }
}
