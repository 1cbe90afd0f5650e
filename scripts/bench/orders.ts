import { csrFor, RawClient, type RawAnswer } from '../../test/acme/raw.ts'
import { keyAuthorization, type Responder } from '../../test/acme/responder.ts'
import type { AcmeServer } from './servers.ts'

export interface Load {
  /** The number of orders that succeeded per second. */
  readonly perSecond: number
  readonly failed: number
  /** Whether the server stopped answering, so that the rest was given up. */
  readonly isStuck: boolean
}

/** Returns clients that have one account each at a server. */
export async function openAccounts(server: AcmeServer, count: number): Promise<RawClient[]> {
  const clients: RawClient[] = []
  for (let i = 0; i < count; i++)
    clients.push(await new RawClient(server.directory, server.root).start())
  return clients
}

const csr = csrFor(['localhost'])

/**
 * Obtains `count` certificates for localhost over http-01, `atOnce` at a time, each by a new order.
 */
export async function orderMany(
  clients: readonly RawClient[],
  count: number,
  atOnce: number,
  responder: Responder,
): Promise<Load> {
  let next = 0
  let succeeded = 0
  const work = async (): Promise<void> => {
    while (next < count) {
      const client = clients[next++ % clients.length]
      if (client === undefined) throw new RangeError('no client')
      await obtain(client, responder).then(
        () => succeeded++,
        () => undefined,
      )
    }
  }
  const begun = performance.now()
  const all = Promise.all(Array.from({ length: atOnce }, work))
  const isStuck = await getsStuck(all, () => succeeded)
  next = count
  const seconds = (performance.now() - begun) / 1000
  return { perSecond: succeeded / seconds, failed: count - succeeded, isStuck }
}

/** Resolves with `false` when the work ends, or with `true` when 10 s pass without any progress. */
async function getsStuck(work: Promise<unknown>, progress: () => number): Promise<boolean> {
  for (let before = -1; before < progress();) {
    before = progress()
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<true>((resolve) => (timer = setTimeout(resolve, 10_000, true)))
    const isLate = await Promise.race([work.then(() => false), late])
    clearTimeout(timer)
    if (!isLate) return false
  }
  return true
}

async function obtain(client: RawClient, responder: Responder): Promise<void> {
  const order = await client.order(['localhost'])
  if (order.status !== 201) throw new Error(order.text)
  for (const url of order.body.authorizations) {
    const { body } = await client.post(url, null)
    const challenge = body.challenges.find(({ type }: { type: string }) => type === 'http-01')
    responder.answers.set(challenge.token, await keyAuthorization(client, challenge.token))
    await untilValid(client, url, await client.post(challenge.url, {}))
    responder.answers.delete(challenge.token)
  }
  const url = order.headers['location'] ?? ''
  const done = await untilValid(client, url, await client.post(order.body.finalize, { csr }))
  const { text } = await client.post(done.body.certificate, null)
  if (!text.includes('BEGIN CERTIFICATE')) throw new Error(text)
}

/**
 * Polls a resource, at once and then every 5 ms, until it is valid. Throws when it becomes invalid
 * or takes too long.
 */
async function untilValid(client: RawClient, url: string, first: RawAnswer): Promise<RawAnswer> {
  let answer = first
  for (let attempt = 0; answer.body.status !== 'valid'; attempt++) {
    if (answer.status >= 400 || answer.body.status === 'invalid' || attempt > 400)
      throw new Error(answer.text)
    if (attempt > 0) await new Promise((resolve) => setTimeout(resolve, 5))
    answer = await client.post(url, null)
  }
  return answer
}
