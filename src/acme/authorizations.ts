import type { AcmeContext, SignedByAccount, Step } from './context.ts'
import { text } from './payload.ts'
import { asProblem, isAway, malformed, notFound, unauthorized } from './problems.ts'
import { rfc3339 } from './orders.ts'
import {
  authorizationStatus,
  challengeStatus,
  type Authorization,
  type Challenge,
} from './resources.ts'
import { bounds } from './store/bounds.ts'
import { commitStep, longestLease, type Claim, type Unit } from './store/contract.ts'

/** How long an authorization is valid after its challenge was met, in milliseconds. */
const validFor = 30 * 86_400_000

/** Shows an authorization, or deactivates it (RFC 8555 §7.5 and §7.5.2). */
export function getAuthorization(context: AcmeContext, request: SignedByAccount, id: string): Step {
  return (unit) => {
    const authorization = ownAuthorization(unit, request, id)
    if (request.payload !== null) {
      if (text(request.payload, 'status') !== 'deactivated')
        throw malformed('The status of an authorization can only become "deactivated".')
      const status = authorizationStatus(authorization, context.now().getTime())
      if (status !== 'pending' && status !== 'valid' && status !== 'deactivated')
        throw malformed(`The authorization is ${status}, and cannot be deactivated.`)
      unit.put('authorization', { ...authorization, deactivated: true })
    }
    const current = unit.get('authorization', id) ?? authorization
    const processing = current.challenges.some((one) => challengeStatus(one) === 'processing')
    return {
      status: 200,
      body: authorizationBody(context, current),
      ...(processing ? { headers: { 'Retry-After': '1' } } : {}),
    }
  }
}

/**
 * Starts the validation of a challenge (RFC 8555 §7.5.1), once the store knows that it was asked for.
 * Answers when the validation is done, or after a moment with Retry-After. The answer waits because a
 * client that reads "pending" sleeps for seconds.
 */
export function respondToChallenge(
  context: AcmeContext,
  request: SignedByAccount,
  authorizationId: string,
  id: string,
): Step {
  const { store, urls, options, now, limits } = context
  return (unit) => {
    const authorization = ownAuthorization(unit, request, authorizationId)
    const challenge = findChallenge(authorization, id)
    if (challenge === undefined) throw notFound('There is no such challenge.')
    const up = `<${urls.authorization(authorizationId)}>;rel="up"`
    const answerWith = (current: Challenge) => ({
      status: 200,
      headers: {
        Link: up,
        ...(challengeStatus(current) === 'processing' ? { 'Retry-After': '1' } : {}),
      },
      body: challengeBody(context, authorizationId, current),
    })
    if (request.payload === null) return answerWith(challenge)
    const status = authorizationStatus(authorization, now().getTime())
    if (status !== 'pending') {
      if (challengeStatus(challenge) === 'pending')
        throw malformed(`The authorization is ${status} already.`)
      return answerWith(challenge)
    }
    const { requested = now().getTime() } = challenge
    if (challenge.requested === undefined) {
      limits.check('failedValidationsPerHour', request.account.id)
      unit.put('authorization', changed(authorization, id, { requested }))
      unit.lease(authorizationId, id, leaseFrom(context))
    }
    return async () => {
      const { account } = request
      const validating = validate(context, { authorization, challenge, account })
      try {
        await atMost(options.answerMilliseconds, validating)
        const current = (await store.open({ authorization: authorizationId })).get(
          'authorization',
          authorizationId,
        )
        return answerWith((current && findChallenge(current, id)) ?? challenge)
      } catch (error) {
        if (!isAway(error)) throw error
        // That the validation was asked for is committed, with the nonce: it goes on later.
        context.onError(error)
        return answerWith({ ...challenge, requested })
      }
    }
  }
}

/** Resolves when the work is done, or when the time is up. */
async function atMost(milliseconds: number, work: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const enough = new Promise<void>((resolve) => (timer = setTimeout(resolve, milliseconds)))
  await Promise.race([work, enough]).finally(() => clearTimeout(timer))
}

/** Returns when the lease of a validation that begins now ends, in milliseconds since 1970. */
const leaseFrom = ({ now, options }: AcmeContext): number =>
  now().getTime() + Math.min(options.validationMilliseconds + 5_000, longestLease)

/**
 * Begins the validations that were asked for and that no process runs: those of a killed one, for which
 * clients still poll.
 */
export async function resumeValidations(context: AcmeContext): Promise<void> {
  const { store, now } = context
  const until = leaseFrom(context)
  for (const claim of await store.claimValidations(now().getTime(), until, bounds.validations))
    validate(context, claim).catch(context.onError)
}

/**
 * Validates a challenge once, however often the client asks for it, and commits the outcome in a unit of
 * its own: the request may be answered by then.
 */
async function validate(
  context: AcmeContext,
  { authorization, challenge, account }: Claim,
): Promise<void> {
  const { validator, options, now, limits } = context
  const { identifier } = authorization
  const { id } = challenge
  const { thumbprint, externalAccountBinding } = account
  // Where anybody may open an account, its client is as much a stranger as one of another machine.
  const bound = externalAccountBinding !== undefined || options.openToAll
  const work = { challenge, identifier, thumbprint, bound }
  let outcome: Partial<Challenge>
  try {
    await validator.validate(`${authorization.id}/${id}`, work)
    outcome = { validated: now().getTime() }
  } catch (error) {
    // The next process validates it anew.
    if (validator.closed) return
    limits.count('failedValidationsPerHour', account.id)
    const { document } = asProblem(error)
    context.onInvalid(challenge.type, document.type)
    outcome = { error: { ...document, identifier } }
  }
  await commitStep(context.store, { authorization: authorization.id }, (unit) => {
    const current = unit.get('authorization', authorization.id)
    const before = current && findChallenge(current, id)
    if (current === undefined || before === undefined) return
    if (before.validated !== undefined || before.error !== undefined) return
    unit.put('authorization', {
      ...changed(current, id, outcome),
      ...(outcome.validated === undefined ? {} : { expires: outcome.validated + validFor }),
    })
  })
}

/** Returns an authorization with a changed challenge. */
const changed = (
  authorization: Authorization,
  id: string,
  change: Partial<Challenge>,
): Authorization => ({
  ...authorization,
  challenges: authorization.challenges.map((one) => (one.id === id ? { ...one, ...change } : one)),
})

const findChallenge = ({ challenges }: Authorization, id: string): Challenge | undefined =>
  challenges.find((one) => one.id === id)

function ownAuthorization(unit: Unit, { account }: SignedByAccount, id: string): Authorization {
  const authorization = unit.get('authorization', id)
  if (authorization === undefined) throw notFound('There is no such authorization.')
  if (authorization.accountId === account.id) return authorization
  throw unauthorized('This is the authorization of another account.')
}

function authorizationBody(context: AcmeContext, authorization: Authorization): object {
  const { identifier, expires, wildcard, challenges, id } = authorization
  const status = authorizationStatus(authorization, context.now().getTime())
  // A decided authorization shows only the challenge that decided it (RFC 8555 §7.1.4).
  const decisive = challenges.filter(({ validated, error }) =>
    status === 'valid' ? validated !== undefined : error !== undefined,
  )
  const shown = decisive.length > 0 && status !== 'pending' ? decisive : challenges
  return {
    status,
    expires: rfc3339(expires),
    identifier,
    ...(wildcard ? { wildcard } : {}),
    challenges: shown.map((challenge) => challengeBody(context, id, challenge)),
  }
}

function challengeBody(
  { urls }: AcmeContext,
  authorizationId: string,
  challenge: Challenge,
): object {
  const { id, type, token, validated, error } = challenge
  return {
    type,
    url: urls.challenge(authorizationId, id),
    status: challengeStatus(challenge),
    token,
    ...(validated === undefined ? {} : { validated: rfc3339(validated) }),
    ...(error === undefined ? {} : { error }),
  }
}
