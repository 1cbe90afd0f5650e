import type { SecureContext, TlsOptions } from 'node:tls'
import { callbackify } from 'node:util'
import { RootlingError } from '../errors.ts'
import { parseIdentifier } from '../x509/identifier.ts'
import { renewalTime, type Validity } from '../x509/profiles.ts'
import type { KeyPair } from './key-pair.ts'

type Pair = Pick<KeyPair, 'cert' | 'key'>

export interface ContextsOptions {
  /** A certificate for one name. Throws for a name that may not be had, such as `not-permitted`. */
  readonly issue: (name: string) => Promise<Pair & Validity>
  /** Names that the server's own certificate speaks for; they are not issued for again. */
  readonly covers: (name: string) => boolean
  readonly now: () => Date
  /** Called with why a name gets no certificate of its own: the client meets the server's. */
  readonly onRefused?: ((name: string, error: unknown) => void) | undefined
  /** How many names are kept, the least recently asked for dropped first. */
  readonly most?: number
  /** How many names are issued for in an hour: any web page can make a browser ask for new ones. */
  readonly mostAnHour?: number
}

/** Certificates by the name that a client asks for (SNI, RFC 6066 §3), each issued when it is first asked for. */
export interface Contexts {
  /** For `node:tls`; `make` builds a context with all that the server asks of its connections. */
  select(make: (pair: Pair) => SecureContext): NonNullable<TlsOptions['SNICallback']>
  /** Keeps none of those that were made: the issuer has changed, or what the server asks of its connections. */
  forget(): void
}

interface Kept extends Validity {
  readonly context: SecureContext
}

const hour = 3_600_000

/** Waits for no timer: whether a certificate is due is asked at each handshake, after sleep too. */
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

  /** One after the other: all of them append to one record. */
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

/** Lower-case; `null`: no host name, and nothing to repeat in a log. */
function hostOf(servername: string): string | null {
  try {
    const { type, value } = parseIdentifier(servername)
    return type === 'dns' && !value.startsWith('*.') ? value : null
  } catch {
    return null
  }
}
