import { RootlingError } from '../../errors.ts'
import type { SocketOwners } from '../../server/socket-owner.ts'
import type { ResolvedOptions } from '../options.ts'
import { AcmeProblem } from '../problems.ts'
import type { AcmeIdentifier, Challenge } from '../resources.ts'
import { bounds } from '../store/bounds.ts'
import { createAddresses, createResolver } from './addresses.ts'
import { validateDns01 } from './dns-01.ts'
import { validateHttp01 } from './http-01.ts'
import { validateTlsAlpn01 } from './tls-alpn-01.ts'

interface Validation {
  readonly challenge: Pick<Challenge, 'type' | 'token'>
  readonly identifier: AcmeIdentifier
  /** The thumbprint of the account's key. */
  readonly thumbprint: string
  /** Whether the account is bound to a key of the authority. */
  readonly bound: boolean
}

export interface Validator {
  /**
   * Resolves when the challenge is met; throws an AcmeProblem when it is not. For each ID there is
   * one attempt at a time.
   */
  validate(id: string, validation: Validation): Promise<void>
  readonly closed: boolean
  /** Ends all validations. */
  close(): void
}

/**
 * Creates a validator. `owners` tells whose servers of this machine may answer the challenges of
 * accounts that are not bound (`null`: anybody's). Throws `usage` for a resolver's address, or ranges of
 * addresses, that cannot be read.
 */
export function createValidator(options: ResolvedOptions, owners: SocketOwners | null): Validator {
  // This throws at the start, and not for the first client that needs the resolver.
  if (options.dnsResolver !== undefined) createResolver(options.dnsResolver)
  const addresses = createAddresses(options)
  // The running validations, oldest first. Each has a signal of its own: Node 20 never frees a
  // signal that AbortSignal.any makes from a signal that lives longer.
  const running = new Map<string, { outcome: Promise<void>; giveUp: AbortController }>()
  let closed = false

  const attempt = async (
    { challenge, identifier, thumbprint, bound }: Validation,
    signal: AbortSignal,
  ): Promise<void> => {
    const { type, token } = challenge
    const keyAuthorization = `${token}.${thumbprint}`
    const allowed = bound ? null : owners
    const work = {
      identifier,
      token,
      keyAuthorization,
      addresses,
      options,
      owners: allowed,
      bound,
      signal,
    }
    const gaveUp = new Promise<never>((_, reject) => {
      signal.addEventListener('abort', () => reject(tooLate(type, identifier)), { once: true })
    })
    gaveUp.catch(() => undefined)
    try {
      await Promise.race([gaveUp, methods[type](work)])
    } catch (error) {
      if (error instanceof AcmeProblem) throw error
      if (error instanceof RootlingError) throw new AcmeProblem('connection', error.message)
      throw error
    }
  }
  return {
    validate(id, validation) {
      const known = running.get(id)
      if (known !== undefined) return known.outcome
      // At the limit the oldest validation is ended: a challenge that can be met takes only a
      // moment.
      const [slowest] = running.size < bounds.validations ? [] : running
      slowest?.[1].giveUp.abort()
      const giveUp = new AbortController()
      if (closed) giveUp.abort()
      const late = setTimeout(() => giveUp.abort(), options.validationMilliseconds).unref()
      const outcome = attempt(validation, giveUp.signal).finally(() => {
        clearTimeout(late)
        if (running.get(id)?.giveUp === giveUp) running.delete(id)
      })
      running.set(id, { outcome, giveUp })
      if (slowest !== undefined) running.delete(slowest[0])
      return outcome
    },
    get closed() {
      return closed
    },
    close() {
      closed = true
      for (const { giveUp } of running.values()) giveUp.abort()
    },
  }
}

const methods = {
  'http-01': validateHttp01,
  'tls-alpn-01': validateTlsAlpn01,
  'dns-01': validateDns01,
}

function tooLate(type: string, { value }: AcmeIdentifier): AcmeProblem {
  return new AcmeProblem('connection', `The validation of ${value} by ${type} took too long.`)
}
