/** Encodes DER as PEM (RFC 7468): lines of 64 columns, a final newline. */
export function encodePem(label: string, der: Uint8Array): string {
  const base64 = Buffer.from(der.buffer, der.byteOffset, der.byteLength).toString('base64')
  const lines = base64.match(/.{1,64}/g) ?? []
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`
}

export interface PemBlock {
  readonly label: string
  readonly der: Buffer
  /** The block as the text has it, with a final newline. */
  readonly text: string
}

/**
 * Returns every PEM block of a text, in order, and skips the text around the blocks. The time is
 * linear in the text's length.
 */
export function pemBlocks(text: string): PemBlock[] {
  const blocks: PemBlock[] = []
  let at = 0
  for (;;) {
    const begin = text.indexOf('-----BEGIN ', at)
    if (begin < 0) return blocks
    const labelEnd = text.indexOf('-----', begin + 11)
    if (labelEnd < 0) return blocks
    const label = text.slice(begin + 11, labelEnd)
    const closing = `-----END ${label}-----`
    // A block's contents hold no five dashes in a row, so the next five end it. Looking further for
    // `closing` would take quadratic time.
    const end = text.indexOf('-----', labelEnd + 5)
    if (end < 0) return blocks
    if (label.includes('\n') || !text.startsWith(closing, end)) {
      at = labelEnd
      continue
    }
    const der = Buffer.from(text.slice(labelEnd + 5, end), 'base64')
    blocks.push({ label, der, text: `${text.slice(begin, end)}${closing}\n` })
    at = end + closing.length
  }
}

/** The certificates of a text, in order. */
export const certificateBlocks = (text: string): PemBlock[] =>
  pemBlocks(text).filter(({ label }) => label === 'CERTIFICATE')

/** The private keys of a text, of any form, encrypted ones too. */
export const privateKeyBlocks = (text: string): PemBlock[] =>
  pemBlocks(text).filter(({ label }) => label.endsWith('PRIVATE KEY'))

/**
 * Whether a key needs a passphrase. PKCS #8 says so in the label, the older forms in a header (RFC
 * 1421 §4.6.1.1).
 */
export const isEncryptedKey = ({ label, text }: PemBlock): boolean =>
  label === 'ENCRYPTED PRIVATE KEY' || /^Proc-Type:[ \t]*4,[ \t]*ENCRYPTED/im.test(text)
