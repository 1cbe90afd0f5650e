import { createPublicKey } from 'node:crypto'
import { RootlingError } from '../errors.ts'
import {
  expectOctets,
  expectOid,
  expectSequence,
  expectSet,
  isContext,
  readDer,
  unexpected,
  type DerValue,
} from './asn1-reader.ts'
import { nameText, readName, type Name } from './foreign-names.ts'
import { keyFactsOf } from './inspect.ts'
import { readRequestDer } from './request.ts'

/** The facts of any certification request. Texts hold no control characters. */
export interface RequestFacts {
  readonly subject: string
  /** The names of the subjectAltName that is asked for; `null`: none is. */
  readonly names: readonly Name[] | null
  /** `P-256`, `RSA 2048`, `Ed25519`, … */
  readonly key: string
  /** Why nobody here would sign it, as a sentence; `null`: `rootling issue --csr` takes it. */
  readonly refused: string | null
}

const what = 'The request'
const extensionRequest = '1.2.840.113549.1.9.14'
const subjectAltName = '2.5.29.17'

/** Reads a certification request (RFC 2986), DER, to explain it. Throws `bad-der`. */
export function inspectRequest(der: Buffer): RequestFacts {
  const [info] = expectSequence(readDer(der, what), what)
  const [, subject, spki, attributes] = expectSequence(info, what)
  if (spki === undefined) throw unexpected(what, 'a key')
  return {
    subject: nameText(subject),
    names: namesIn(attributes),
    key: keyName(spki.der),
    refused: refusalOf(der),
  }
}

function keyName(spki: Buffer): string {
  try {
    return keyFactsOf(createPublicKey({ key: spki, format: 'der', type: 'spki' })).name
  } catch {
    return 'of an unknown kind'
  }
}

function refusalOf(der: Buffer): string | null {
  try {
    readRequestDer(der)
    return null
  } catch (error) {
    if (error instanceof RootlingError) return error.message
    throw error
  }
}

function namesIn(attributes: DerValue | undefined): Name[] | null {
  if (!isContext(attributes, 0)) return null
  for (const attribute of attributes.children) {
    const [type, values] = expectSequence(attribute, what)
    if (expectOid(type, what) !== extensionRequest) continue
    for (const extension of expectSequence(expectSet(values, what)[0], what)) {
      const members = expectSequence(extension, what)
      if (expectOid(members[0], what) !== subjectAltName) continue
      return expectSequence(readDer(expectOctets(members.at(-1), what), what), what).map(readName)
    }
  }
  return null
}
