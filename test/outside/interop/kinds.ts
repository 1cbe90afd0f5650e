import { makeScope } from '../../../src/authority/ceremony.ts'
import { ensureAuthority, ensureScopeFor, permitScope } from '../../../src/authority/create.ts'
import { openScope, type Scope } from '../../../src/authority/scope.ts'
import { openSigner } from '../../../src/authority/signer.ts'
import { withLock } from '../../../src/files/lock.ts'
import type { StateDirectory } from '../../../src/home/state-directory.ts'
import { createScope, markAsCache } from '../../../src/storage/files/scopes.ts'
import { randomSerialNumber, type Signer } from '../../../src/x509/certificate.ts'
import { parseIdentifier, type Identifier } from '../../../src/x509/identifier.ts'
import { generateKeys, keyTypes, type KeyPairDer, type KeyType } from '../../../src/x509/keys.ts'
import { localConstraints } from '../../../src/x509/name-constraints.ts'
import { encodePem } from '../../../src/x509/pem.ts'
import { day, leafValidity, signMailLeaf, signServerLeaf } from '../../../src/x509/profiles.ts'
import { keysOf } from '../../../src/storage/files/keys.ts'

/** What a certificate is shown for, one purpose (extKeyUsage) each. */
export type Use = 'server' | 'client' | 'mail' | 'code' | 'time' | 'ocsp'

/** One chain for a stranger to judge, all PEM, and what the stranger is asked to expect in it. */
export interface Presented {
  readonly title: string
  readonly keyType: KeyType
  readonly root: string
  readonly intermediate: string
  readonly leaf: string
  readonly identifier: Identifier
  /** What a client would ask for: a host below the wildcard, for instance; empty: no name. */
  readonly asked: string
  /** Default: `mail` for a mailbox, `server` for the others. */
  readonly use?: Use
}

export interface Kinds {
  /**
   * Every key type times every kind of name, each under every scope that permits the name; mailboxes
   * under the scope for mail.
   */
  readonly inside: readonly Presented[]
  /** Signed by the stolen key of an intermediate, for names outside its constraints. */
  readonly stolen: readonly Presented[]
  /** Good chains, shown to somebody who trusts the root of another scope. */
  readonly wrongRoot: readonly Presented[]
  /** The end of the first was yesterday; the second begins tomorrow, which is beyond NSS's slack. */
  readonly expired: Presented
  readonly early: Presented
}

const names = {
  'a host': ['app.localhost', 'app.localhost'],
  'a wildcard': ['*.app.localhost', 'a.app.localhost'],
  'an international name': ['münchen.test', 'xn--mnchen-3ya.test'],
  'an IPv4 address': ['127.0.0.1', '127.0.0.1'],
  'an IPv6 address': ['::1', '::1'],
  'a mailbox': ['me@mail.test', 'me@mail.test'],
  'a URI': ['spiffe://dev.test/web', 'spiffe://dev.test/web'],
} as const

const foreign = 'bank.com *.bank.com localhost.bank.com 8.8.8.8 2606:4700::1111 a@bank.com'
  .split(' ')
  .map(parseIdentifier)
// Typed by a person it would be taken for a pasted URL; a thief is not bound by that.
const foreignUri: Identifier = { type: 'uri', value: 'https://bank.com/' }

interface Options {
  readonly asked?: string
  readonly keyType?: KeyType
  /** When it is issued. */
  readonly at?: Date
}

/** Makes every scope and every chain. RSA keys are generated once for each size. */
export async function makeKinds(state: StateDirectory, now: Date): Promise<Kinds> {
  const before = new Date(now.getTime() - 500 * day)
  const { scope: local } = await ensureAuthority(state, before)
  const request = { permit: ['dev.example.com', '203.0.113.0/24', '2001:db8::/32'] }
  const { scope: permitted } = await permitScope(state, request, now)
  const { scope: free } = await permitScope(state, { permit: [], unconstrained: true }, now)
  const withoutAddresses = await addScopeWithoutAddresses(state, now)
  const forMail = await ensureScopeFor(state, 'mail', now)
  const keys = new Map<KeyType, KeyPairDer>()
  for (const type of keyTypes) keys.set(type, await generateKeys(type))
  const signers = new Map<Scope, Signer>()
  for (const scope of [local, permitted, free, withoutAddresses, forMail])
    signers.set(scope, await openSigner(keysOf(state), scope, now))

  const present = async (
    title: string,
    scope: Scope,
    identifier: Identifier,
    { asked = identifier.value, keyType = 'p256', at = now }: Options = {},
  ): Promise<Presented> => {
    const [signer, pair] = [signers.get(scope), keys.get(keyType)]
    if (signer === undefined || pair === undefined) throw new Error('no such scope or key')
    const validity = leafValidity(at, 90, new Date(scope.intermediate.validTo))
    const rsa = keyType.startsWith('rsa')
    const rest = { serialNumber: randomSerialNumber(), identifiers: [identifier], ...validity }
    const sign = scope === forMail ? signMailLeaf : signServerLeaf
    const leaf = encodePem('CERTIFICATE', await sign({ spki: pair.spki, rsa, ...rest }, signer))
    const intermediate = scope.intermediate.toString()
    return {
      title: `${title} (${identifier.value}, ${scope.name}, ${keyType})`,
      keyType,
      root: scope.root.toString(),
      intermediate,
      leaf,
      identifier,
      asked,
    }
  }
  const entries = Object.entries(names)
  const everyKey = keyTypes.flatMap((keyType) =>
    entries.map(([kind, [typed, asked]]) => {
      const identifier = parseIdentifier(typed)
      const scope = identifier.type === 'email' ? forMail : local
      return present(kind, scope, identifier, { asked, keyType })
    }),
  )
  const everyScope = [permitted, free, withoutAddresses].flatMap((scope) =>
    entries
      .map(([kind, [typed, asked]]) => [kind, parseIdentifier(typed), asked] as const)
      .filter(([, { type }]) => type !== 'email' && (type !== 'ip' || scope !== withoutAddresses))
      .map(([kind, identifier, asked]) => present(kind, scope, identifier, { asked })),
  )
  const ofPermitted = ['dev.example.com', 'a.dev.example.com', '203.0.113.9', '2001:db8::9'].map(
    (name) => present('a permitted name', permitted, parseIdentifier(name)),
  )
  const ofFree = foreign
    .filter(({ type, value }) => type !== 'email' && !value.startsWith('*'))
    .map((identifier) => present('any name', free, identifier))
  const stolen = [local, permitted, withoutAddresses].flatMap((scope) =>
    [...foreign, foreignUri, ...(scope === withoutAddresses ? [parseIdentifier('127.0.0.1')] : [])]
      .concat(scope === permitted ? [parseIdentifier('example.com')] : [])
      .map((identifier) => present('stolen key', scope, identifier)),
  )
  const host = parseIdentifier('app.localhost')
  return {
    inside: await Promise.all([...everyKey, ...everyScope, ...ofPermitted, ...ofFree]),
    stolen: await Promise.all(stolen),
    wrongRoot: [
      { ...(await present('wrong root', local, host)), root: permitted.root.toString() },
      { ...(await present('wrong root', permitted, host)), root: local.root.toString() },
    ],
    expired: await present('expired', local, host, { at: new Date(now.getTime() - 91 * day) }),
    early: await present('not valid yet', local, host, { at: new Date(now.getTime() + 2 * day) }),
  }
}

/** No command makes such a scope; its constraints exclude all addresses instead. */
async function addScopeWithoutAddresses(state: StateDirectory, now: Date): Promise<Scope> {
  const constraints = { dns: localConstraints.dns, ip: [] }
  const files = await makeScope({ name: 'no-ip', permitted: [], constraints }, now)
  await withLock(state, async () => {
    await markAsCache(state)
    await createScope(state, files)
  })
  return openScope(state, 'no-ip')
}
