/** `2031-01-31 12:00 UTC`, for sentences. */
export function formatDate(date: Date): string {
  return `${date.toISOString().slice(0, 16).replace('T', ' ')} UTC`
}

/** A subject or issuer in one line: Node writes one attribute a line, `CN=a\nO=b`. */
export function oneLine(name: string): string {
  return name.split('\n').join(', ')
}
