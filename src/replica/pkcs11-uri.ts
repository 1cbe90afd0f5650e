import { RootlingError } from '../errors.ts'

/** A key in a PKCS #11 module, and how it is reached. */
export interface Pkcs11Key {
  /** The label of the token. */
  readonly token: string
  /** The label of the key (CKA_LABEL), and its CKA_ID in hex; one of both at least. */
  readonly object?: string | undefined
  readonly id?: string | undefined
  /** The absolute path of the module, a shared library. */
  readonly modulePath: string
  /** The absolute path of the file whose first line is the PIN. */
  readonly pinSource: string
}

const longest = 2_000
const example =
  'pkcs11:token=ca;object=rootling?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:/etc/rootling/pin'

const refuse = (fault: string, hint = `--key-pkcs11 '${example}'`): RootlingError =>
  new RootlingError('usage', `The URI of --key-pkcs11 ${fault}.`, { hint })

/**
 * Parses a URI of RFC 7512: `token` with `object`, `id` or both, then `module-path` and `pin-source`.
 * Other attributes are refused, since a key that was chosen without them could be another one. Throws
 * `usage`, never with a PIN.
 */
export function parsePkcs11Uri(uri: string): Pkcs11Key {
  if (uri.length > longest) throw refuse(`has more than ${longest} characters`)
  const match = /^pkcs11:([^?]*)(?:\?(.*))?$/s.exec(uri)
  if (match === null) throw refuse('does not begin with pkcs11:')
  const path = attributes(match[1] ?? '', ';', ['token', 'object', 'id', 'type'])
  const query = attributes(match[2] ?? '', '&', ['module-path', 'pin-source'])
  const type = path.get('type')?.toString()
  if (type !== undefined && type !== 'private')
    throw refuse('names an object that is no private key: type=private, or none')
  const [token, object] = [text(path, 'token'), text(path, 'object')]
  if (token === undefined) throw refuse('names no token')
  const id = path.get('id')?.toString('hex')
  if (object === undefined && id === undefined) throw refuse('names no key: object=LABEL or id=%01')
  return {
    token,
    object,
    id,
    modulePath: fullPath(text(query, 'module-path'), 'module-path'),
    pinSource: fullPath(
      text(query, 'pin-source')?.replace(/^file:(?:\/\/(?=\/))?/, ''),
      'pin-source',
    ),
  }
}

/** Reads `name=value` after `name=value`, each once, and decodes the values. */
function attributes(
  part: string,
  separator: string,
  known: readonly string[],
): ReadonlyMap<string, Buffer> {
  const found = new Map<string, Buffer>()
  for (const one of part === '' ? [] : part.split(separator)) {
    const [, name = '', value = ''] = /^([\w-]{1,40})=(.*)$/s.exec(one) ?? []
    if (name === '') throw refuse(`has a part between two ${separator} that is not NAME=VALUE`)
    if (name === 'pin-value')
      throw refuse(
        'holds a PIN, which other users can read in the command line',
        'Put the PIN into a file: pin-source=file:/etc/rootling/pin',
      )
    if (!known.includes(name))
      throw refuse(`has the attribute ${name}, which is not one of ${known.join(', ')}`)
    if (found.has(name)) throw refuse(`has the attribute ${name} twice`)
    const decoded = decode(value)
    if (decoded === null || decoded.length === 0)
      throw refuse(`has an attribute ${name} without a value, or with a wrong %`)
    found.set(name, decoded)
  }
  return found
}

/** Decodes percent-encoded octets; `null`: a % has no two hex digits after it. */
function decode(value: string): Buffer | null {
  if (/%(?![0-9A-Fa-f]{2})/.test(value)) return null
  const parts = value.split(/(%[0-9A-Fa-f]{2})/)
  return Buffer.concat(
    parts.map((part, i) => (i % 2 === 1 ? Buffer.from(part.slice(1), 'hex') : Buffer.from(part))),
  )
}

function text(found: ReadonlyMap<string, Buffer>, name: string): string | undefined {
  const value = found.get(name)
  if (value === undefined) return undefined
  const decoded = value.toString()
  // A control character would end a line of what pkcs11-tool lists, or an argument.
  if (!Buffer.from(decoded).equals(value) || /\p{Cc}/u.test(decoded))
    throw refuse(`has an attribute ${name} that is not plain text in UTF-8`)
  return decoded
}

function fullPath(value: string | undefined, name: string): string {
  if (value === undefined) throw refuse(`has no ${name}`)
  if (value.startsWith('/')) return value
  throw refuse(`has a ${name} that is not an absolute path`)
}
