import { wordlist } from '@scure/bip39/wordlists/english.js'

/** How many words of eleven bits stand for a fingerprint: 88 bits, which nobody can match by trying. */
const count = 8

/**
 * Returns the beginning of a fingerprint (SHA-256, hex) as words of the list of BIP 39, which are easier to
 * compare over a table than hex: each differs from all others in its first four letters.
 */
export function wordsOf(fingerprint: string): readonly string[] {
  const bits = [...Buffer.from(fingerprint, 'hex')]
    .map((octet) => octet.toString(2).padStart(8, '0'))
    .join('')
  return Array.from({ length: count }, (_, i) => {
    const index = Number.parseInt(bits.slice(i * 11, i * 11 + 11), 2)
    return wordlist[index] ?? ''
  })
}
