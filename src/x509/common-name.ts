import type { Name } from './foreign-names.ts'

/**
 * Returns the common name that some clients take for the host, since the subjectAltName has neither
 * a DNS name nor an address (RFC 6125 §6.4.4): the first that looks like a host or a wildcard, or,
 * where there are no names at all, the first. `null`: there is none.
 */
export function commonNameOnly({
  names,
  commonNames,
}: {
  readonly names: readonly Pick<Name, 'type'>[] | null
  readonly commonNames: readonly string[]
}): string | null {
  if (names?.some(({ type }) => type === 'dns' || type === 'ip')) return null
  const host = commonNames.find((commonName) => hostLike.test(commonName))
  const any = names === null || names.length === 0 ? commonNames[0] : undefined
  return host ?? any ?? null
}

/** Labels with dots between them, of which any may have a star. `alice` is more likely a person. */
const hostLike = /^[\w*-]+(?:\.[\w*-]+)+\.?$/
