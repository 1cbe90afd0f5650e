import { printable } from './printable.ts'

/**
 * Quotes a word for a POSIX shell, or on Windows for cmd and PowerShell, if it needs quotes. Used in
 * hints that people paste. What would not be printed as it is, such as a newline, is escaped as
 * POSIX.1-2024 has it, in `$'…'`.
 */
export function shellWord(word: string, system: NodeJS.Platform = process.platform): string {
  if (system === 'win32') return /^[\w@+=:./\\-]+$/.test(word) ? word : `"${word}"`
  if (/^[\w@%+=:,./-]+$/.test(word)) return word
  if (printable(word) === word) return `'${word.replaceAll("'", `'\\''`)}'`
  return `$'${Array.from(word, escaped).join('')}'`
}

function escaped(character: string): string {
  if (character === "'" || character === '\\') return `\\${character}`
  if (character === '\n') return '\\n'
  if (printable(character) === character) return character
  const octets = new TextEncoder().encode(character)
  return Array.from(octets, (octet) => `\\x${octet.toString(16).padStart(2, '0')}`).join('')
}

/**
 * Returns a path, or another word that a person chose, for a sentence: as it is, or quoted as
 * `shellWord` does where it would read as several words or as words of the sentence, or would not be
 * printed as it is.
 */
export function quotedPath(path: string, system: NodeJS.Platform = process.platform): string {
  // Most paths are of these letters alone, and compiling the Unicode categories takes a millisecond.
  if (/^[\w@%+=:,./\\~^#&*[\]{}-]+$/.test(path)) return path
  const plain = /^[\p{L}\p{M}\p{N}_@%+=:,./\\~^#&*…[\]{}-]+$/u.test(path)
  return plain && printable(path) === path ? path : shellWord(path, system)
}
