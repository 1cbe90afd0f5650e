import { createHash, timingSafeEqual } from 'node:crypto'

/** Compares a secret with the one that was given, in a time that does not tell where they differ. */
export function isSameSecret(given: string, expected: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(given), digest(expected))
}
