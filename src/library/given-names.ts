import { RootlingError } from '../errors.ts'

/**
 * Returns the names that a caller gave, as an array. JavaScript lets anything through, such as a
 * variable that is not set. Throws `usage`.
 */
export function givenNames(names: string | readonly string[]): readonly string[] {
  const all: unknown = typeof names === 'string' ? [names] : names
  if (Array.isArray(all) && all.every((name) => typeof name === 'string')) return all
  const wrong = Array.isArray(all) ? all.find((name) => typeof name !== 'string') : all
  const type = wrong === null ? 'null' : typeof wrong
  throw new RootlingError('usage', `A name must be a string, not ${type}.`, {
    hint: "Pass a name or an array of names, such as ['localhost', '127.0.0.1', '::1']",
  })
}
