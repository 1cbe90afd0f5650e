import { isContext, isUniversal, readDer, type DerValue } from './asn1-reader.ts'

/** What a DER encoding holds; private keys by the label that they have in PEM. */
export type DerKind = 'certificate' | 'request' | 'crl' | 'ocsp' | 'pkcs12' | KeyKind
type KeyKind = 'PRIVATE KEY' | 'EC PRIVATE KEY' | 'RSA PRIVATE KEY' | 'ENCRYPTED PRIVATE KEY'

/** Returns what a DER encoding holds, by its outermost values; `null`: something else, or not DER. */
export function kindOfDer(der: Buffer): DerKind | null {
  let top: DerValue
  try {
    top = readDer(der, 'The file')
  } catch {
    return null
  }
  if (!isUniversal(top, 16)) return null
  const [first, second, third] = top.children
  if (isUniversal(first, 10)) return 'ocsp'
  if (isUniversal(first, 2)) return kindOfNumbered(second, third)
  if (!isUniversal(first, 16)) return null
  if (isUniversal(second, 4)) return 'ENCRYPTED PRIVATE KEY'
  return isUniversal(second, 16) && isUniversal(third, 3) ? kindOfSigned(first) : null
}

/** Returns the kind of what begins with a version number. */
function kindOfNumbered(second: DerValue | undefined, third: DerValue | undefined): DerKind | null {
  switch (second?.tagClass === 'universal' ? second.tag : null) {
    case 2:
      return 'RSA PRIVATE KEY'
    case 4:
      return 'EC PRIVATE KEY'
    case 16:
      // A PFX holds a ContentInfo, with its contents in [0]; PKCS #8 an algorithm and the key.
      if (isContext(second?.children[1], 0)) return 'pkcs12'
      return isUniversal(third, 4) ? 'PRIVATE KEY' : null
    default:
      return null
  }
}

/** Returns the kind of a signed value by what was signed. */
function kindOfSigned({ children: fields }: DerValue): DerKind {
  // Of the three only a CRL has a time among its own fields: a certificate has two in a SEQUENCE.
  if (fields.some((field) => isUniversal(field, 0x17) || isUniversal(field, 0x18))) return 'crl'
  // Version, subject, key, attributes; where a certificate has the name of an algorithm, a request
  // has the subject, which is empty or holds SETs.
  const [version, name] = fields
  const named = name?.children.every((child) => isUniversal(child, 17)) === true
  return isUniversal(version, 2) && isUniversal(name, 16) && named ? 'request' : 'certificate'
}
