import { RootlingError } from '../errors.ts'
import { isUniversal, readDer, type DerValue } from './asn1-reader.ts'

/** The most iterations of a key derivation; OWASP recommends 600,000, and each million takes a second. */
export const mostIterations = 5_000_000n
/** How often an OCTET STRING may hold DER of its own: a PKCS #12 file has three such layers. */
const deepest = 4

const what = 'The PKCS #12 file'

/**
 * Throws `bad-key` where a PKCS #12 file names so many iterations for a key derivation that opening
 * it, with any password, would take minutes or years (RFC 7292 §4, RFC 8018 §A.2). `shown` begins the
 * sentence. Contents that are something else are left to whoever reads them.
 */
export function refuseCostlyPkcs12(contents: Buffer, shown: string): void {
  const found = readable(contents) ? mostIn(contents, 0) : mostByBytes(contents)
  if (found <= mostIterations) return
  throw new RootlingError(
    'bad-key',
    `${shown} wants ${found} iterations to be opened, which is more than ${mostIterations}.`,
    { hint: 'Do not open it unless you know who made it; ask for a file with fewer iterations' },
  )
}

function readable(contents: Buffer): boolean {
  try {
    readDer(contents, what)
    return true
  } catch {
    return false
  }
}

/** The largest number that follows a salt, in DER and in the OCTET STRINGs that hold DER again. */
function mostIn(contents: Buffer, depth: number): bigint {
  let top: DerValue
  try {
    top = readDer(contents, what)
  } catch {
    // Most OCTET STRINGs hold something else.
    return 0n
  }
  let most = 0n
  const see = (found: bigint): void => void (most = found > most ? found : most)
  const visit = (value: DerValue): void => {
    if (isUniversal(value, 4) && depth < deepest) see(mostIn(value.contents, depth + 1))
    value.children.forEach((child, i) => {
      const next = value.children[i + 1]
      if (isUniversal(child, 4) && isUniversal(next, 2)) see(numberIn(next.contents))
      visit(child)
    })
  }
  visit(top)
  return most
}

/**
 * The same by the octets alone, for BER: a short OCTET STRING and an INTEGER after it. Encrypted
 * octets that look so by chance are one file in some thousands.
 */
function mostByBytes(contents: Buffer): bigint {
  let most = 0n
  for (let at = contents.indexOf(4); at >= 0; at = contents.indexOf(4, at + 1)) {
    const number = at + 2 + (contents[at + 1] ?? 0)
    const length = contents[number + 1] ?? 0
    if (contents[number] !== 2 || length === 0 || length > 8) continue
    const octets = contents.subarray(number + 2, number + 2 + length)
    const found = octets.length < length ? 0n : numberIn(octets)
    if (found > most) most = found
  }
  return most
}

/** The octets of an INTEGER as a positive number; one of more than 16 octets counts as absurd too. */
const numberIn = (octets: Buffer): bigint => BigInt(`0x0${octets.subarray(0, 16).toString('hex')}`)
