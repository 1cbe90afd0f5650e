/**
 * Quotes a word for a POSIX shell, or on Windows for cmd and PowerShell, if it needs quotes. Used in
 * hints that people paste.
 */
export function shellWord(word: string, system: NodeJS.Platform = process.platform): string {
  if (system === 'win32') return /^[\w@+=:./\\-]+$/.test(word) ? word : `"${word}"`
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`
}
