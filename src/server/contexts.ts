import type { SecureContext, TlsOptions, TLSSocket } from 'node:tls'
import { callbackify } from 'node:util'
import { RootlingError } from '../errors.ts'
import { parseIdentifier } from '../x509/identifier.ts'
import { renewalTime, type Validity } from '../x509/profiles.ts'
import type { KeyPair } from './key-pair.ts'
import { createTurns, type Asker } from './turns.ts'

type Pair = Pick<KeyPair, 'cert' | 'key'>

export interface ContextsOptions {
  /**
   * Issues a certificate for one name; a `brief` one leaves nothing behind and soon ends. Throws for
   * a name that gets none, such as `not-permitted`.
   */
  readonly issue: (name: string, brief: boolean) => Promise<Pair & Validity & Serial>
  /** Says whether the certificate with a serial number is revoked; another is issued then. */
  readonly isRevoked?: (serialNumber: string) => Promise<boolean>
  /** Whether the server's own certificate covers a name, so that none is issued for it. */
  readonly covers: (name: string) => boolean
  /**
   * Whether a person asked for a name to be served, such as by a route of the proxy. These names wait
   * for no others, count in no limit and are kept before others; default: none is.
   */
  readonly isExpected?: ((name: string) => boolean) | undefined
  readonly now: () => Date
  /**
   * Called with the error when a name gets no certificate; the client is shown the server's own.
   */
  readonly onRefused?: ((name: string, error: unknown) => void) | undefined
  /**
   * The most names that are kept, by default 256. The least recently asked for is dropped first,
   * of those that were asked for only once while there are any. As many names may wait for a
   * certificate at a time that one address asked for, which are all the connections that a browser
   * opens; further ones get none.
   */
  readonly most?: number
  /**
   * The most certificates in an hour that are issued for long to one address, by default 1,000;
   * further ones are brief. Any web page can make a browser ask for new names without end: the record
   * must not grow by all of them, and no other name may be refused because of them.
   */
  readonly mostAnHour?: number
}

/**
 * Certificates by the name that clients ask for (SNI, RFC 6066 §3). Each is issued when a client
 * asks for its name for the first time.
 */
export interface Contexts {
  /**
   * Returns the callback for `node:tls`; `make` builds a context with the settings of the server.
   */
  select(make: (pair: Pair) => SecureContext): NonNullable<TlsOptions['SNICallback']>
  /** Drops all contexts, because the issuer or the settings of the server have changed. */
  forget(): void
}

interface Serial {
  readonly serialNumber: string
}

interface Kept extends Validity, Serial {
  readonly context: SecureContext
  /** Whether the name was asked for again since it was issued for the first time. */
  readonly again: boolean
}

const hour = 3_600_000

/** The addresses whose certificates of an hour are counted apart; the others are counted as one. */
const mostAddresses = 1_000

/**
 * Creates certificates by name and renews them. There is no timer: each handshake checks whether
 * its certificate is revoked or due for renewal, which also works after the machine has slept.
 */
export function createContexts(options: ContextsOptions): Contexts {
  const { issue, isRevoked, covers, now, onRefused, most = 256, mostAnHour = 1_000 } = options
  const { isExpected = () => false } = options
  const kept = new Map<string, Kept>()
  const turns = createTurns<Kept>({ mostOfAddress: most, tooMany: tooManyWaiting })
  const asked = new WeakMap<object, string>()
  const issued = { since: 0, counts: new Map<string, number>() }

  /** Returns how many certificates this address got in this hour, with a function that counts one more. */
  function countOf(address: string): { readonly count: number; add(): void } {
    const at = now().getTime()
    if (Math.abs(at - issued.since) > hour) {
      issued.since = at
      issued.counts.clear()
    }
    const { counts } = issued
    const key = counts.has(address) || counts.size < mostAddresses ? address : 'others'
    return {
      count: counts.get(key) ?? 0,
      add: () => void counts.set(key, (counts.get(key) ?? 0) + 1),
    }
  }

  function keep(name: string, fresh: Kept): void {
    kept.set(name, fresh)
    if (kept.size <= most) return
    const others = [...kept].filter(([other]) => other !== name)
    const strange = others.filter(([other]) => !isExpected(other))
    // A stranger's name gets its certificate, but displaces no name that is expected.
    const last = isExpected(name) ? others[0] : undefined
    const [dropped] = strange.find(([, { again }]) => !again) ?? strange[0] ?? last ?? [name]
    kept.delete(dropped)
  }

  /**
   * Issues a certificate, or waits for the one that is being issued for this name. Throws `locked` where
   * the client's address waits for too many names, and `cancelled` when all clients that waited are gone.
   */
  function issueOnce(
    name: string,
    asker: Asker,
    make: (pair: Pair) => SecureContext,
  ): Promise<Kept> {
    const expected = isExpected(name)
    return turns.take(name, { ...asker, isFirst: expected }, async () => {
      const budget = countOf(asker.address)
      const brief = !expected && budget.count >= mostAnHour
      const { notBefore, notAfter, serialNumber, ...pair } = await issue(name, brief)
      if (!expected) budget.add()
      const again = kept.get(name)?.again ?? false
      const fresh = { context: make(pair), notBefore, notAfter, serialNumber, again }
      keep(name, fresh)
      return fresh
    })
  }

  async function contextFor(
    name: string,
    asker: Asker,
    make: (pair: Pair) => SecureContext,
  ): Promise<SecureContext> {
    const known = kept.get(name)
    if (known === undefined) return (await issueOnce(name, asker, make)).context
    kept.delete(name)
    kept.set(name, { ...known, again: true })
    const at = now().getTime()
    // While the record cannot be read, what is served stays.
    const revoked = (await isRevoked?.(known.serialNumber).catch(() => false)) ?? false
    if (!revoked && at >= known.notBefore.getTime() && at < renewalTime(known)) return known.context
    try {
      return (await issueOnce(name, asker, make)).context
    } catch (error) {
      if (revoked || at < known.notBefore.getTime() || at > known.notAfter.getTime()) throw error
      return known.context
    }
  }

  /** Throws `usage` for a second name of a connection, which TLS 1.2 lets clients negotiate anew. */
  function refuseSecondName(name: string, socket: TLSSocket | undefined): void {
    if (socket === undefined) return
    const first = asked.get(socket) ?? name
    asked.set(socket, first)
    if (first !== name)
      throw new RootlingError('usage', `${name} gets no certificate on a connection for ${first}.`)
  }

  return {
    forget: () => kept.clear(),
    select: (make) =>
      // node:tls calls it as a method of the connection.
      callbackify(async function (this: unknown, servername: string) {
        const name = hostOf(servername)
        if (name === null || covers(name)) return undefined
        const socket = isConnection(this) ? this : undefined
        try {
          refuseSecondName(name, socket)
          return await contextFor(name, askerOf(socket), make)
        } catch (error) {
          const isGone = error instanceof RootlingError && error.code === 'cancelled'
          if (!isGone) onRefused?.(name, error)
          return undefined
        }
      }),
  }
}

const isConnection = (value: unknown): value is TLSSocket =>
  typeof value === 'object' && value !== null && 'remoteAddress' in value

const askerOf = (socket: TLSSocket | undefined): Asker => ({
  address: socket?.remoteAddress ?? '',
  isGone: () => socket?.destroyed === true,
})

const tooManyWaiting = (name: string, address: string, most: number): RootlingError =>
  new RootlingError(
    'locked',
    `${name} gets no certificate now, since ${most} names wait for one${address === '' ? '' : ` that ${address} asked for`}.`,
    {
      hint: 'Ask again later, and see who asks for so many names',
    },
  )

/**
 * Returns a host name in lower case. Returns `null` for anything else, which is then not repeated
 * in a log either.
 */
function hostOf(servername: string): string | null {
  try {
    const { type, value } = parseIdentifier(servername)
    return type === 'dns' && !value.startsWith('*.') ? value : null
  } catch {
    return null
  }
}
