import { longestRetryDelay, retryDelay } from '../retry-delay.ts'
import { validityOf } from '../x509/parsed-certificate.ts'
import { renewalTime } from '../x509/profiles.ts'
import type { KeyPair } from './key-pair.ts'

/** What is renewed: any object that has the certificate in these two forms. */
type Renewable = Pick<KeyPair, 'cert' | 'leaf'>

export interface RenewingPairOptions<Pair extends Renewable = KeyPair> {
  /** Issues a new certificate and key. */
  readonly issue: () => Promise<Pair>
  readonly now: () => Date
  /**
   * Returns text that changes when the issuers change. Then `issue` is called, which may return the
   * same certificate.
   */
  readonly issuersStamp?: (() => Promise<string>) | undefined
  /** Says whether the certificate with a serial number is revoked, which makes it due for renewal. */
  readonly isRevoked?: ((serialNumber: string) => Promise<boolean>) | undefined
  /** Called with each pair after the first, for example to call `server.replaceCertificate`. */
  readonly onRenewed?: ((pair: Pair) => void) | undefined
  readonly onFailed?: ((error: unknown, nextAttempt: Date) => void) | undefined
  /** The time between two checks, at most and by default 60,000. */
  readonly checkMilliseconds?: number | undefined
}

export interface RenewingPair<Pair extends Renewable = KeyPair> {
  current(): Pair
  /** Renews if the pair is due or the issuers have changed, as the timer does. Never rejects. */
  check(): Promise<void>
  stop(): void
}

const minute = 60_000

/**
 * Issues a pair and renews it at two thirds of its lifetime, or when its issuer was replaced or it
 * was revoked. The
 * timer is short and reads the wall clock, because a long `setTimeout` does not advance while a
 * laptop sleeps. Failures are retried after 1, 2, 4, … minutes, at most an hour; the old pair stays
 * in use meanwhile. Rejects when the first pair cannot be issued.
 */
export async function renewingPair<Pair extends Renewable = KeyPair>(
  options: RenewingPairOptions<Pair>,
): Promise<RenewingPair<Pair>> {
  const stampNow = async (): Promise<string> =>
    (await options.issuersStamp?.().catch(() => 'unreadable')) ?? ''
  // While the record cannot be read, the pair stays in use.
  const isRevoked = async ({ leaf }: Pair): Promise<boolean> =>
    (await options.isRevoked?.(leaf.serialNumber).catch(() => false)) ?? false
  let stamp = await stampNow()
  let pair = await options.issue()
  let retry: { at: number; failures: number; stamp: string } | null = null
  let running: Promise<void> | null = null
  let stopped = false

  async function renew(isDue: boolean, latest: string): Promise<void> {
    const failures: number = (retry?.failures ?? 0) + 1
    const at = options.now().getTime() + retryDelay(failures)
    const again = { at, failures, stamp: latest }
    try {
      const renewed = await options.issue()
      if (stopped) return
      stamp = latest
      // An issuer near its own end issues certificates that are due at once. The delay of a retry
      // keeps this from issuing one every minute.
      retry = isDueForRenewal(renewed, options.now()) ? again : null
      if (!isDue && renewed.cert === pair.cert) return
      pair = renewed
      options.onRenewed?.(pair)
    } catch (error) {
      retry = again
      options.onFailed?.(error, new Date(at))
    }
  }

  async function renewIfNeeded(): Promise<void> {
    const now = options.now()
    const latest = await stampNow()
    const isDue = isDueForRenewal(pair, now) || (await isRevoked(pair))
    if (!isDue && latest === stamp) return
    // A retry more than an hour away means that the clock was set back.
    const waits =
      retry !== null && retry.at > now.getTime() && retry.at <= now.getTime() + longestRetryDelay
    if (!waits || retry?.stamp !== latest) await renew(isDue, latest)
  }

  async function check(): Promise<void> {
    if (running !== null) return running
    if (stopped) return undefined
    running = renewIfNeeded().finally(() => {
      running = null
    })
    return running
  }

  const period = Math.min(options.checkMilliseconds ?? minute, minute)
  const timer = setInterval(() => void check(), period)
  timer.unref()
  return {
    current: () => pair,
    check,
    stop: () => {
      stopped = true
      clearInterval(timer)
    },
  }
}

/** Whether two thirds of a certificate's lifetime have passed. */
function isDueForRenewal(pair: Pick<KeyPair, 'leaf'>, now: Date): boolean {
  return now.getTime() >= renewalTime(validityOf(pair.leaf))
}
