import type { AcmeContext, Answer, SignedByAccount } from './context.ts'
import { text } from './payload.ts'
import { asProblem, malformed, notFound, unauthorized } from './problems.ts'
import { rfc3339 } from './orders.ts'
import {
  authorizationStatus,
  challengeStatus,
  type Account,
  type Authorization,
  type Challenge,
} from './resources.ts'

/** How long an authorization is valid after its challenge was met, in milliseconds. */
const validFor = 30 * 86_400_000

/** Shows an authorization, or deactivates it (RFC 8555 §7.5 and §7.5.2). */
export function getAuthorization(
  context: AcmeContext,
  request: SignedByAccount,
  id: string,
): Answer {
  const authorization = ownAuthorization(context, request, id)
  if (request.payload !== null) {
    if (text(request.payload, 'status') !== 'deactivated')
      throw malformed('The status of an authorization can only become "deactivated".')
    const status = authorizationStatus(authorization, context.now().getTime())
    if (status !== 'pending' && status !== 'valid' && status !== 'deactivated')
      throw malformed(`The authorization is ${status}, and cannot be deactivated.`)
    context.store.put('authorization', { ...authorization, deactivated: true })
  }
  const current = context.store.get('authorization', id) ?? authorization
  const processing = current.challenges.some((one) => challengeStatus(one) === 'processing')
  return {
    status: 200,
    body: authorizationBody(context, current),
    ...(processing ? { headers: { 'Retry-After': '1' } } : {}),
  }
}

/**
 * Starts the validation of a challenge (RFC 8555 §7.5.1). Answers when the validation is done, or
 * after a moment with Retry-After. The answer waits because a client that reads "pending" sleeps
 * for seconds.
 */
export async function respondToChallenge(
  context: AcmeContext,
  request: SignedByAccount,
  authorizationId: string,
  id: string,
): Promise<Answer> {
  const { urls, options, now } = context
  const authorization = ownAuthorization(context, request, authorizationId)
  const challenge = authorization.challenges.find((one) => one.id === id)
  if (challenge === undefined) throw notFound('There is no such challenge.')
  if (request.payload !== null) {
    const status = authorizationStatus(authorization, now().getTime())
    if (status === 'pending') {
      const validating = startValidation(context, authorization, id, request.account)
      await atMost(options.answerMilliseconds, validating)
    } else if (challengeStatus(challenge) === 'pending')
      throw malformed(`The authorization is ${status} already.`)
  }
  const current = findChallenge(context, authorizationId, id) ?? challenge
  const up = `<${urls.authorization(authorizationId)}>;rel="up"`
  const processing = challengeStatus(current) === 'processing'
  return {
    status: 200,
    headers: { Link: up, ...(processing ? { 'Retry-After': '1' } : {}) },
    body: challengeBody(context, authorizationId, current),
  }
}

/** Resolves when the work is done, or when the time is up. */
async function atMost(milliseconds: number, work: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const enough = new Promise<void>((resolve) => (timer = setTimeout(resolve, milliseconds)))
  await Promise.race([work, enough]).finally(() => clearTimeout(timer))
}

/** Starts anew the validations that a killed server was running: clients still poll for them. */
export function resumeValidations(context: AcmeContext): void {
  const { store, now } = context
  for (const authorization of store.all('authorization')) {
    const account = store.get('account', authorization.accountId)
    if (account === undefined) continue
    if (authorizationStatus(authorization, now().getTime()) !== 'pending') continue
    for (const challenge of authorization.challenges)
      if (challengeStatus(challenge) === 'processing')
        void startValidation(context, authorization, challenge.id, account)
  }
}

/**
 * Validates a challenge once, however often the client asks for it. Never throws: the outcome is in
 * the store.
 */
function startValidation(
  context: AcmeContext,
  authorization: Authorization,
  id: string,
  { thumbprint, externalAccountBinding }: Account,
): Promise<void> {
  const { validator, now } = context
  const challenge = authorization.challenges.find((one) => one.id === id)
  if (challenge === undefined) return Promise.resolve()
  if (challenge.requested === undefined)
    update(context, authorization.id, id, { requested: now().getTime() })
  const { identifier } = authorization
  const bound = externalAccountBinding !== undefined
  return validator.validate(id, { challenge, identifier, thumbprint, bound }).then(
    () => update(context, authorization.id, id, { validated: now().getTime() }),
    (error: unknown) => {
      if (validator.closed) return
      const document = { ...asProblem(error).document, identifier }
      update(context, authorization.id, id, { error: document })
    },
  )
}

function update(
  { store, now }: AcmeContext,
  authorizationId: string,
  id: string,
  change: Partial<Challenge>,
): void {
  const authorization = store.get('authorization', authorizationId)
  const challenge = authorization?.challenges.find((one) => one.id === id)
  if (authorization === undefined || challenge === undefined) return
  if (challenge.validated !== undefined || challenge.error !== undefined) return
  store.put('authorization', {
    ...authorization,
    ...(change.validated === undefined ? {} : { expires: now().getTime() + validFor }),
    challenges: authorization.challenges.map((one) =>
      one.id === id ? { ...one, ...change } : one,
    ),
  })
}

function findChallenge({ store }: AcmeContext, authorizationId: string, id: string) {
  return store.get('authorization', authorizationId)?.challenges.find((one) => one.id === id)
}

function ownAuthorization(
  { store }: AcmeContext,
  { account }: SignedByAccount,
  id: string,
): Authorization {
  const authorization = store.get('authorization', id)
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
