import { createHash } from 'node:crypto'

/** A trusted certificate in a Java keystore. */
export interface JksEntry {
  readonly alias: string
  readonly der: Buffer
}

const magic = 0xfeedfeed
const tags = { privateKey: 1, trustedCertificate: 2 } as const

/**
 * Reads the trusted certificates, but no keys and chains, of a keystore in Java's own format, JKS,
 * as sun.security.provider's JavaKeyStore writes it. `null`: the file has another format, is
 * damaged, or is sealed with another password; only keytool can say which. Without a password, the
 * seal is not checked, as Java does.
 */
export function readJks(bytes: Buffer, password: string | null): JksEntry[] | null {
  const sealed = bytes.length - 20
  if (sealed < 12 || bytes.readUInt32BE(0) !== magic) return null
  const body = bytes.subarray(0, sealed)
  if (password !== null && !seal(body, password).equals(bytes.subarray(sealed))) return null
  try {
    return readEntries(body)
  } catch (error) {
    if (error instanceof RangeError) return null
    throw error
  }
}

/** Returns a keystore in Java's own format that holds these trusted certificates. */
export function writeJks(entries: readonly JksEntry[], password: string): Buffer {
  const number = (value: number): Buffer => {
    const bytes = Buffer.alloc(4)
    bytes.writeUInt32BE(value)
    return bytes
  }
  const text = (value: string): Buffer => {
    const bytes = Buffer.from(value, 'utf8')
    return Buffer.concat([number(bytes.length).subarray(2), bytes])
  }
  const added = Buffer.alloc(8)
  const body = Buffer.concat([
    ...[magic, 2, entries.length].map(number),
    ...entries.flatMap(({ alias, der }) => [
      number(tags.trustedCertificate),
      text(alias),
      added,
      text('X.509'),
      number(der.length),
      der,
    ]),
  ])
  return Buffer.concat([body, seal(body, password)])
}

/**
 * Returns the seal of a keystore: SHA-1 over the password in UTF-16, a phrase that is built into
 * Java, and the contents.
 */
function seal(body: Buffer, password: string): Buffer {
  const secret = Buffer.from(password, 'utf16le').swap16()
  return createHash('sha1').update(secret).update('Mighty Aphrodite').update(body).digest()
}

/**
 * Reads the entries of a keystore. `null`: it has another version, or is damaged. Throws a
 * RangeError when a length exceeds the contents.
 */
function readEntries(body: Buffer): JksEntry[] | null {
  let offset = 4
  const number = (): number => {
    const value = body.readUInt32BE(offset)
    offset += 4
    return value
  }
  const octets = (length: number): Buffer => {
    if (length > body.length - offset) throw new RangeError('longer than the keystore')
    offset += length
    return body.subarray(offset - length, offset)
  }
  const text = (): string => octets(octets(2).readUInt16BE(0)).toString('utf8')
  const version = number()
  if (version !== 1 && version !== 2) return null
  const certificate = (): Buffer | null => {
    const type = version === 2 ? text() : 'X.509'
    const der = octets(number())
    return type === 'X.509' ? der : null
  }
  const entries: JksEntry[] = []
  for (let left = number(); left > 0; left--) {
    const tag = number()
    const alias = text()
    octets(8) // When it was added.
    if (tag === tags.trustedCertificate) {
      const der = certificate()
      if (der !== null) entries.push({ alias, der })
    } else if (tag === tags.privateKey) {
      octets(number())
      for (let chain = number(); chain > 0; chain--) certificate()
    } else return null
  }
  return offset === body.length ? entries : null
}
