import type { SecureContext, TlsOptions } from 'node:tls'
import { callbackify } from 'node:util'
import { RootlingError } from '../errors.ts'
import { parseIdentifier } from '../x509/identifier.ts'
import { renewalTime, type Validity } from '../x509/profiles.ts'
import type { KeyPair } from './key-pair.ts'

type Pair = Pick<KeyPair, 'cert' | 'key'>

export interface ContextsOptions {
  /**
   * Issues a certificate for one name. Throws for a name that gets none, such as `not-permitted`.
   */
  readonly issue: (name: string) => Promise<Pair & Validity>
  /** Whether the server's own certificate covers a name, so that none is issued for it. */
  readonly covers: (name: string) => boolean
  readonly now: () => Date
  /**
   * Called with the error when a name gets no certificate; the client is shown the server's own.
   */
  readonly onRefused?: ((name: string, error: unknown) => void) | undefined
  /**
   * The most names that are kept, by default 256; the least recently asked for is dropped first.
   */
  readonly most?: number
  /**
   * The most certificates that are issued in an hour, by default 1,000. A limit is needed because
   * any web page can make a browser ask for new names.
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

interface Kept extends Validity {
  readonly context: SecureContext
}

const hour = 3_600_000

/**
 * Creates certificates by name and renews them. There is no timer: each handshake checks whether
 * its certificate is due for renewal, which also works after the machine has slept.
 */
export function createContexts(options: ContextsOptions): Contexts {
  const { issue, covers, now, onRefused, most = 256, mostAnHour = 1_000 } = options
  const kept = new Map<string, Kept>()
  const issuing = new Map<string, Promise<Kept>>()
  let last: Promise<unknown> = Promise.resolve()
  let issued = { since: 0, count: 0 }

  function count(): void {
    const at = now().getTime()
    if (Math.abs(at - issued.since) > hour) issued = { since: at, count: 0 }
    if (issued.count >= mostAnHour)
      throw new RootlingError('not-permitted', `${mostAnHour} new names were asked for in an hour.`)
    issued.count++
  }

  /**
   * Issues a certificate, or waits for the one that is being issued for this name. Names are issued
   * one after the other, because every certificate is appended to the same record.
   */
  function issueOnce(name: string, make: (pair: Pair) => SecureContext): Promise<Kept> {
    const running = issuing.get(name)
    if (running !== undefined) return running
    const started = last.then(async () => {
      count()
      const { notBefore, notAfter, ...pair } = await issue(name)
      const fresh = { context: make(pair), notBefore, notAfter }
      kept.set(name, fresh)
      for (const [oldest] of kept) if (kept.size > most) kept.delete(oldest)
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
    kept.set(name, known)
    const at = now().getTime()
    if (at >= known.notBefore.getTime() && at < renewalTime(known)) return known.context
    try {
      return (await issueOnce(name, make)).context
    } catch (error) {
      if (at < known.notBefore.getTime() || at > known.notAfter.getTime()) throw error
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
