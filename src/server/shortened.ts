import { printable } from '../printable.ts'

/**
 * Makes text that a client chose fit for a line of a log: removes what is not printable, and cuts
 * the text after `most` characters.
 */
export function shortened(text: string, most: number): string {
  const stripped = printable(text, '')
  return stripped.length > most ? `${stripped.slice(0, most)}…` : stripped
}
