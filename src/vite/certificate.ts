import { createSecureContext, type SecureContext } from 'node:tls'
import { keptCertificate, type Certificate } from '../certificates/kept.ts'
import { stampOf } from '../files/stamp.ts'
import { givenStateDirectory, type StateDirectory } from '../home/state-directory.ts'
import { loadKeyPair, type KeyPair } from '../server/key-pair.ts'
import { renewingPair } from '../server/renewing.ts'
import {
  loopbackNames,
  networkAddresses,
  ownAddresses,
  type NetworkAddresses,
} from '../sites/own-addresses.ts'
import { recordPath } from '../storage/files/record.ts'
import { stampOfScopes } from '../storage/files/scopes.ts'
import { settleInterrupted } from '../storage/files/settle.ts'

export interface ServerCertificateOptions {
  /** The state directory; absent: the one that the command line uses. */
  readonly home: string | undefined
  /** Further names for the certificate. */
  readonly names: readonly string[]
  /** Where Vite listens: `true`, `0.0.0.0` and `::` are every address. */
  readonly host: string | boolean | undefined
  /** The addresses of this machine, for tests. */
  readonly own?: () => readonly string[]
}

/** The certificate of a server of Vite. */
export interface ServerCertificate {
  readonly certificate: Certificate
  /** The state directory, which holds keys. */
  readonly home: string
  /** The addresses of this machine where Vite listens, and which the authority may not sign. */
  readonly unsigned: readonly string[]
  /**
   * Calls `replace` with each certificate that takes the place of the one before it: since two
   * thirds of its lifetime have passed, it was revoked, the authority was rotated, or this machine
   * has other addresses.
   */
  follow(options: FollowOptions): Promise<{ stop(): void }>
}

interface FollowOptions {
  readonly replace: (pair: Pick<KeyPair, 'cert' | 'key'>, context: SecureContext) => void
  readonly onFailed: (error: unknown) => void
}

/**
 * Returns a certificate of the authority of this machine, which must exist, for the names and
 * addresses of a server of Vite. Throws what `keptCertificate` throws.
 */
export async function serverCertificate({
  home,
  names,
  host,
  own = ownAddresses,
}: ServerCertificateOptions): Promise<ServerCertificate> {
  const state = await givenStateDirectory(home)
  await settleInterrupted(state)
  const addresses = (): Promise<NetworkAddresses> => addressesOf(state, host, own())
  const issue = async (signed: readonly string[]): Promise<Certificate> => {
    const fixed = typeof host === 'string' && everyAddress(host) === null ? [host] : []
    const all = new Set([...loopbackNames, ...fixed, ...names, ...signed].filter(Boolean))
    return keptCertificate(state, [...all], {}, new Date())
  }
  const first = await addresses()
  const certificate = await issue(first.signed)
  return {
    certificate,
    home: state.path,
    unsigned: first.unsigned,
    async follow({ replace, onFailed }) {
      const show = ({ cert, key }: KeyPair): void =>
        // Without `ca`, Node would read all public roots first, which a server has no use for.
        replace({ cert, key }, createSecureContext({ ca: [], cert, key }))
      const renewing = await renewingPair({
        async issue() {
          const { cert, key } = await issue((await addresses()).signed)
          return loadKeyPair(cert, key, new Date())
        },
        // A revocation is in the record.
        async issuersStamp() {
          const stamps = [await stampOfScopes(state), await stampOf(recordPath(state))]
          return [...stamps, ...(await addresses()).signed].join(' ')
        },
        now: () => new Date(),
        onRenewed: show,
        onFailed,
        checkMilliseconds: 1_000,
      })
      const { cert } = renewing.current()
      if (cert !== certificate.cert) show(renewing.current())
      return renewing
    },
  }
}

/** Returns the family of addresses that a host stands for; `null`: it is one host. */
function everyAddress(host: string | boolean | undefined): '0.0.0.0' | '::' | null {
  if (host === true || host === '::' || host === '0000:0000:0000:0000:0000:0000:0000:0000')
    return '::'
  return host === '0.0.0.0' ? host : null
}

async function addressesOf(
  state: StateDirectory,
  host: string | boolean | undefined,
  own: readonly string[],
): Promise<NetworkAddresses> {
  const every = everyAddress(host)
  return every === null ? { signed: [], unsigned: [] } : networkAddresses(state, every, own)
}
