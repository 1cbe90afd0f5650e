import type { AcmeContext, SignedByAccount, Step } from './context.ts'
import { text } from './payload.ts'
import { isOutage } from '../storage/outage.ts'
import { asProblem, malformed, notFound, unauthorized } from './problems.ts'
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
 * How long the commit of a request for a validation waits for its outcome, in milliseconds. Most
 * validations are done by then, so that one commit has both.
 */
const soon = 250

/**
 * Validates a challenge (RFC 8555 §7.5.1). What takes longer than a moment is validated once the store
 * knows that it was asked for. Answers when the validation is done, or after a longer moment with
 * Retry-After. The answer waits because a client that reads "pending" sleeps for seconds.
 */
export async function respondToChallenge(
  context: AcmeContext,
  request: SignedByAccount,
  authorizationId: string,
  id: string,
): Promise<Step> {
  const { store, urls, options, now } = context
  const validating = begin(context, request, authorizationId, id)
  const early = validating === null ? null : await atMost(soon, validating)
  return (unit) => {
    const { authorization, challenge } = ownChallenge(unit, request, authorizationId, id)
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
      const asked = changed(authorization, id, { requested })
      const done = early === null ? asked : decided(asked, id, early)
      unit.put('authorization', done)
      if (early !== null) return answerWith(findChallenge(done, id) ?? challenge)
      unit.lease(authorizationId, id, leaseFrom(context))
    }
    const claim = { authorization, challenge, account: request.account }
    return async () => {
      try {
        const outcome = validating ?? outcomeOf(context, claim)
        await atMost(options.answerMilliseconds, settle(context, claim, outcome))
        const current = (await store.open({ authorization: authorizationId })).get(
          'authorization',
          authorizationId,
        )
        return answerWith((current && findChallenge(current, id)) ?? challenge)
      } catch (error) {
        if (!isOutage(error)) throw error
        // That the validation was asked for is committed, with the nonce: it goes on later.
        context.onError(error)
        return answerWith({ ...challenge, requested })
      }
    }
  }
}

/** The most challenges of which a process remembers that it validated them early. */
const mostEarly = 10_000

/**
 * Begins the validation of a challenge that is asked for the first time; `null`: none begins. That is before
 * the nonce is used up, so for each challenge it happens once: where the request is not committed then, as
 * with a used nonce that is sent again and again, the next one is committed before anything is validated.
 */
function begin(
  context: AcmeContext,
  request: SignedByAccount,
  authorizationId: string,
  id: string,
): Promise<Outcome | null> | null {
  const { unit, payload, account } = request
  const { authorization, challenge } = ownChallenge(unit, request, authorizationId, id)
  const status = authorizationStatus(authorization, context.now().getTime())
  if (payload === null || status !== 'pending' || challenge.requested !== undefined) return null
  context.limits.check('failedValidationsPerHour', account.id)
  const { early } = context
  const key = `${authorizationId}/${id}`
  request.atEnd((isDone) => {
    if (isDone) early.delete(key)
  })
  if (early.has(key)) return null
  early.add(key)
  const [oldest = ''] = early.size > mostEarly ? early : []
  early.delete(oldest)
  return outcomeOf(context, { authorization, challenge, account })
}

/** Resolves when the work is done; with `null`, when the time is up. */
async function atMost<T>(milliseconds: number, work: Promise<T>): Promise<T | null> {
  let timer: NodeJS.Timeout | undefined
  const enough = new Promise<null>((resolve) => (timer = setTimeout(resolve, milliseconds, null)))
  return Promise.race([work, enough]).finally(() => clearTimeout(timer))
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
    settle(context, claim, outcomeOf(context, claim)).catch(context.onError)
}

/** What a validation adds to its challenge. */
type Outcome = Pick<Challenge, 'validated' | 'error'>

/**
 * Validates a challenge, once at a time however often the client asks for it. `null`: this process ends,
 * and the next one validates it anew.
 */
async function outcomeOf(
  context: AcmeContext,
  { authorization, challenge, account }: Claim,
): Promise<Outcome | null> {
  const { validator, options, now, limits } = context
  const { identifier } = authorization
  const { id } = challenge
  const { thumbprint, externalAccountBinding } = account
  // Where anybody may open an account, its client is as much a stranger as one of another machine.
  const bound = externalAccountBinding !== undefined || options.openToAll
  const work = { challenge, identifier, thumbprint, bound }
  try {
    await validator.validate(`${authorization.id}/${id}`, work)
    return { validated: now().getTime() }
  } catch (error) {
    if (validator.closed) return null
    limits.count('failedValidationsPerHour', account.id)
    const { document } = asProblem(error)
    context.onInvalid(challenge.type, document.type)
    return { error: { ...document, identifier } }
  }
}

/** Commits the outcome of a validation in a unit of its own: the request may be answered by then. */
async function settle(
  context: AcmeContext,
  { authorization, challenge: { id } }: Claim,
  validating: Promise<Outcome | null>,
): Promise<void> {
  const outcome = await validating
  if (outcome === null) return
  await commitStep(context.store, { authorization: authorization.id }, (unit) => {
    const current = unit.get('authorization', authorization.id)
    const before = current && findChallenge(current, id)
    if (current === undefined || before === undefined) return
    if (before.validated !== undefined || before.error !== undefined) return
    unit.put('authorization', decided(current, id, outcome))
  })
}

/** Returns an authorization with the outcome of a validation. */
const decided = (authorization: Authorization, id: string, outcome: Outcome): Authorization => ({
  ...changed(authorization, id, outcome),
  ...(outcome.validated === undefined ? {} : { expires: outcome.validated + validFor }),
})

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

function ownChallenge(
  unit: Unit,
  request: SignedByAccount,
  authorizationId: string,
  id: string,
): Pick<Claim, 'authorization' | 'challenge'> {
  const authorization = ownAuthorization(unit, request, authorizationId)
  const challenge = findChallenge(authorization, id)
  if (challenge === undefined) throw notFound('There is no such challenge.')
  return { authorization, challenge }
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
