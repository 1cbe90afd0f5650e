import { RootlingError } from '../errors.ts'
import { printable, shortened } from '../printable.ts'
import { isBareWildcard, mostNames, parseIdentifier, type Identifier } from '../x509/identifier.ts'
import type { Purpose } from '../storage/records.ts'
import { commonNameText } from '../x509/subject.ts'
import { defaultDays, maximumDays } from '../x509/profiles.ts'

/**
 * Parses the names of one certificate, without repetitions, in the order typed. `command` is what
 * the hint names where there are none. Throws `usage`, `bad-name`.
 */
export function parseNames(names: readonly string[], command = 'rootling issue'): Identifier[] {
  if (names.length === 0)
    throw new RootlingError('usage', 'Name at least one host or address.', {
      hint: `${command} localhost 127.0.0.1 ::1`,
    })
  if (names.length > mostNames)
    throw new RootlingError('usage', `${names.length} names are too many for one certificate.`, {
      hint: `Issue several certificates, of ${mostNames} names at most`,
    })
  const seen = new Map<string, Identifier>()
  for (const identifier of names.map(parseIdentifier))
    seen.set(`${identifier.type}:${identifier.value}`, identifier)
  return [...seen.values()]
}

/**
 * Returns a request in which the first name of a client is the common name alone where it is a bare
 * user name, such as `bob`: in the subjectAltName it would be a host.
 */
export function clientSubject<T extends NamedRequest>(request: T): T {
  const { names, purpose, subject } = request
  const [first = '', ...rest] = names
  if (purpose !== 'client' || subject !== undefined) return request
  refuseSubject(first.trim())
  if (!isUserName(first)) return request
  return { ...request, names: rest, subject: commonNameText(first.trim()) }
}

/** Throws `bad-name`, with the subject to give, for a person's full name or a subject. */
function refuseSubject(name: string): void {
  const isSubject = /^[a-z]+=/i.test(name)
  if (!isSubject && !name.includes(' ')) return
  const shown = printable(JSON.stringify(shortened(name, 80)))
  throw new RootlingError('bad-name', `The name ${shown} is no user name, host, address or URI.`, {
    hint: `Give it as the subject: ${printable(isSubject ? name : commonNameText(name))}`,
  })
}

interface NamedRequest {
  readonly names: readonly string[]
  readonly purpose?: Purpose | undefined
  readonly subject?: string | undefined
}

/** Whether a name is a label without a dot, which but for `localhost` is more likely a person. */
function isUserName(name: string): boolean {
  if (name === '' || name.includes('.')) return false
  const { type, value } = parseIdentifier(name)
  return type === 'dns' && !value.includes('.') && value !== 'localhost'
}

/** The lifetime in days, or the default. Throws `usage`. */
export function checkDays(days: number | undefined): number {
  if (days === undefined) return defaultDays
  if (Number.isInteger(days) && days >= 1 && days <= maximumDays) return days
  const why = days > maximumDays ? `; Apple refuses more than ${maximumDays}` : ''
  throw new RootlingError('usage', `--days ${days} is not between 1 and ${maximumDays}${why}.`, {
    hint: `--days ${defaultDays}`,
  })
}

/**
 * Returns sentences about names that clients refuse. Throws `bad-name` for a wildcard directly
 * under a top-level name among other names, unless forced: Firefox and Deno refuse the whole
 * certificate.
 */
export function namesWarnings(identifiers: readonly Identifier[], force: boolean): string[] {
  const underscores = identifiers
    .filter(({ type, value }) => type === 'dns' && value.includes('_'))
    .map(({ value }) => `Java refuses ${value}: no host name has an underscore.`)
  const bare = identifiers.find(isBareWildcard)
  if (bare === undefined) return underscores
  const better = bare.value.replace('*.', '*.dev.')
  if (identifiers.length > 1 && !force)
    throw new RootlingError(
      'bad-name',
      `Firefox refuses every name of a certificate that holds ${bare.value}, a wildcard directly under a top-level name.`,
      { hint: `Use ${better} instead, issue ${bare.value} alone, or add --force` },
    )
  const sentence = `Browsers refuse ${bare.value}, a wildcard directly under a top-level name; use ${better}.`
  return [sentence, ...underscores]
}
