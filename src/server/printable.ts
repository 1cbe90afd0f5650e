/**
 * Makes text that a client chose fit for a line of a log: cuts it after `most` characters, and
 * removes controls, line separators and bidirectional overrides, which could move the cursor or
 * reorder the line.
 */
export function printable(text: string, most: number): string {
  const stripped = text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '')
  return stripped.length > most ? `${stripped.slice(0, most)}…` : stripped
}
