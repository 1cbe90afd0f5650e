import {
  expectBoolean,
  expectExplicit,
  expectInteger,
  expectOid,
  expectSequence,
  isContext,
  isUniversal,
  readNamedBits,
  type DerValue,
} from './asn1-reader.ts'
import { readName, type Name } from './foreign-names.ts'

/*
 * Readers for the extensions of any certificate. Each § is a section of RFC 5280. Each function
 * throws `bad-der`.
 */

/** Name constraints (RFC 5280 §4.2.1.10). */
export interface Constraints {
  /** What an authority may sign; of a type that is not among them, anything. */
  readonly permitted: readonly Name[]
  /** What it may not sign, also where that is permitted. */
  readonly excluded: readonly Name[]
}

const what = 'The certificate'

/**
 * Reads basicConstraints (§4.2.1.9). X509Certificate's own `ca` looks at keyUsage too, which
 * Firefox does not.
 */
export function readBasicConstraints(value: DerValue | null): {
  ca: boolean
  pathLength: number | null
} {
  const members = value === null ? [] : [...expectSequence(value, what)]
  const ca = isUniversal(members[0], 1) && expectBoolean(members.shift(), what)
  const pathLength = members[0] === undefined ? null : Number(expectInteger(members[0], what))
  return { ca, pathLength }
}

const keyUsageNames = [
  'digitalSignature',
  'nonRepudiation',
  'keyEncipherment',
  'dataEncipherment',
  'keyAgreement',
  'keyCertSign',
  'cRLSign',
  'encipherOnly',
  'decipherOnly',
]

/**
 * Returns the names of the bits that are set in keyUsage (§4.2.1.3), `null` where the extension is
 * absent, and whether it also sets bits that it says are unused.
 */
export function readKeyUsage(value: DerValue | null): {
  keyUsage: string[] | null
  unusedBitsSet: boolean
} {
  if (value === null) return { keyUsage: null, unusedBitsSet: false }
  const { bits, strayed } = readNamedBits(value, what)
  const keyUsage = bits.map((bit) => keyUsageNames[bit] ?? `bit ${bit}`)
  return { keyUsage, unusedBitsSet: strayed }
}

const purposes: Readonly<Record<string, string>> = {
  '2.5.29.37.0': 'anyExtendedKeyUsage',
  '1.3.6.1.5.5.7.3.1': 'serverAuth',
  '1.3.6.1.5.5.7.3.2': 'clientAuth',
  '1.3.6.1.5.5.7.3.3': 'codeSigning',
  '1.3.6.1.5.5.7.3.4': 'emailProtection',
  '1.3.6.1.5.5.7.3.8': 'timeStamping',
  '1.3.6.1.5.5.7.3.9': 'OCSPSigning',
}

/**
 * Returns the purposes in extKeyUsage (§4.2.1.12), each by name or as a dotted identifier; `null`:
 * the extension is absent.
 */
export function readExtKeyUsage(value: DerValue | null): string[] | null {
  if (value === null) return null
  return expectSequence(value, what)
    .map((oid) => expectOid(oid, what))
    .map((oid) => purposes[oid] ?? oid)
}

/** Reads nameConstraints (§4.2.1.10). */
export function readConstraints(value: DerValue): Constraints {
  const trees = expectSequence(value, what)
  const bases = (n: number): Name[] =>
    (trees.find((tree) => isContext(tree, n))?.children ?? [])
      .flatMap((tree) => expectSequence(tree, what).slice(0, 1))
      .map(readName)
  return { permitted: bases(0), excluded: bases(1) }
}

/** Returns the URLs of the OCSP responders in authorityInfoAccess (§4.2.2.1). */
export function readAccess(value: DerValue | null): string[] {
  if (value === null) return []
  return expectSequence(value, what).flatMap((description) => {
    const [method, location] = expectSequence(description, what)
    const ocsp = expectOid(method, what) === '1.3.6.1.5.5.7.48.1'
    return ocsp && isContext(location, 6) ? [readName(location).value] : []
  })
}

/** Returns the URLs in cRLDistributionPoints (§4.2.1.13). */
export function readPoints(value: DerValue | null): string[] {
  if (value === null) return []
  return expectSequence(value, what)
    .flatMap((point) => expectSequence(point, what).slice(0, 1))
    .filter((name) => isContext(name, 0))
    .flatMap((name) => expectExplicit(name, 0, what).children)
    .filter((name) => isContext(name, 6))
    .map((name) => readName(name).value)
}
