/** Writes a date for a sentence, such as `2031-01-31 12:00 UTC`. */
export function formatDate(date: Date): string {
  return `${date.toISOString().slice(0, 16).replace('T', ' ')} UTC`
}

/** Writes a subject or issuer in one line. Node gives one attribute per line: `CN=a\nO=b`. */
export function oneLine(name: string): string {
  return name.split('\n').join(', ')
}
