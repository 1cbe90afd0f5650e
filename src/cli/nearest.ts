import { nearest } from '../nearest.ts'

/** Returns the hint for a scope that does not exist. */
export function meantScope(name: string, names: readonly string[]): string {
  const guess = nearest(name, names)
  return guess === null ? 'rootling ca list' : `Did you mean ${guess}?`
}
