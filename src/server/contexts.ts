import type { SecureContext, TlsOptions } from 'node:tls'
import { callbackify } from 'node:util'
import { RootlingError } from '../errors.ts'
import { parseIdentifier } from '../x509/identifier.ts'
import { renewalTime, type Validity } from '../x509/profiles.ts'
import type { KeyPair } from './key-pair.ts'

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
  readonly now: () => Date
  /**
   * Called with the error when a name gets no certificate; the client is shown the server's own.
   */
  readonly onRefused?: ((name: string, error: unknown) => void) | undefined
  /**
   * The most names that are kept, by default 256. The least recently asked for is dropped first,
   * of those that were asked for only once while there are any. As many may wait for a certificate
   * at a time, which are all the connections that a browser opens; further ones get none.
   */
  readonly most?: number
  /**
   * The most certificates in an hour that are issued for long, by default 1,000; further ones are
   * brief. Any web page can make a browser ask for new names without end: the record must not grow
   * by all of them, and no other name may be refused because of them.
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

/**
 * Creates certificates by name and renews them. There is no timer: each handshake checks whether
 * its certificate is revoked or due for renewal, which also works after the machine has slept.
 */
export function createContexts(options: ContextsOptions): Contexts {
  const { issue, isRevoked, covers, now, onRefused, most = 256, mostAnHour = 1_000 } = options
  const kept = new Map<string, Kept>()
  const issuing = new Map<string, Promise<Kept>>()
  let last: Promise<unknown> = Promise.resolve()
  let issued = { since: 0, count: 0 }

  /** Whether one more certificate is beyond those of this hour. */
  function isBeyond(): boolean {
    const at = now().getTime()
    if (Math.abs(at - issued.since) > hour) issued = { since: at, count: 0 }
    return issued.count >= mostAnHour
  }

  function keep(name: string, fresh: Kept): void {
    kept.set(name, fresh)
    if (kept.size <= most) return
    const others = [...kept].filter(([other]) => other !== name)
    const [dropped] = others.find(([, { again }]) => !again) ?? others[0] ?? [name]
    kept.delete(dropped)
  }

  /**
   * Issues a certificate, or waits for the one that is being issued for this name. Names are issued
   * one after the other, because every certificate is appended to the same record. A client may ask
   * and be gone, so what waits is not bounded by the connections. Throws `locked`.
   */
  function issueOnce(name: string, make: (pair: Pair) => SecureContext): Promise<Kept> {
    const running = issuing.get(name)
    if (running !== undefined) return running
    if (issuing.size >= most) throw tooManyWaiting(name, most)
    const started = last.then(async () => {
      const { notBefore, notAfter, serialNumber, ...pair } = await issue(name, isBeyond())
      issued.count++
      const again = kept.get(name)?.again ?? false
      const fresh = { context: make(pair), notBefore, notAfter, serialNumber, again }
      keep(name, fresh)
      return fresh
    })
    last = started.catch(() => undefined)
    issuing.set(name, started)
    void last.then(() => issuing.delete(name))
    return started
  }

  async function contextFor(
    name: string,
    make: (pair: Pair) => SecureContext,
  ): Promise<SecureContext> {
    const known = kept.get(name)
    if (known === undefined) return (await issueOnce(name, make)).context
    kept.delete(name)
    kept.set(name, { ...known, again: true })
    const at = now().getTime()
    // While the record cannot be read, what is served stays.
    const revoked = (await isRevoked?.(known.serialNumber).catch(() => false)) ?? false
    if (!revoked && at >= known.notBefore.getTime() && at < renewalTime(known)) return known.context
    try {
      return (await issueOnce(name, make)).context
    } catch (error) {
      if (revoked || at < known.notBefore.getTime() || at > known.notAfter.getTime()) throw error
      return known.context
    }
  }

  return {
    forget: () => kept.clear(),
    select: (make) =>
      callbackify(async (servername: string) => {
        const name = hostOf(servername)
        if (name === null || covers(name)) return undefined
        try {
          return await contextFor(name, make)
        } catch (error) {
          onRefused?.(name, error)
          return undefined
        }
      }),
  }
}

const tooManyWaiting = (name: string, most: number): RootlingError =>
  new RootlingError(
    'locked',
    `${name} gets no certificate now, since ${most} names wait for one.`,
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
