import * as acmeClient from 'acme-client'
import { X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { Agent } from 'node:https'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { bare } from '../../src/storage/records.ts'
import { run, type Finished } from '../helpers/subprocess.ts'
import { createKey, csrFor, RawClient, type RawAnswer } from '../acme/raw.ts'
import { keyAuthorization } from '../acme/responder.ts'
import type { Team } from './cluster.ts'

/** How many orders each client makes, at least. */
export interface Load {
  /** Whether the raw clients go on after that. */
  readonly more?: () => boolean
  /** How many raw clients there are; default: 6. */
  readonly clients?: number
  readonly raw?: number
  readonly acmeClient?: number
  readonly lego?: number
  readonly certbot?: number
}

/** What the clients saw. */
export interface Seen {
  /** The serial numbers of the certificates that they hold, without leading zeros. */
  readonly serials: string[]
  /** The URLs of the orders that raw clients saw valid. */
  readonly orders: string[]
  /** Answers that there must be none of: 5xx, and badNonce for a request that was sent once. */
  readonly refusals: string[]
  /**
   * badNonce for the repetition, octet for octet, of a request whose answer was lost. RFC 8555 §6.5
   * wants it so; acme-client repeats requests like this, and then signs anew.
   */
  repeated: number
  /** Signed requests, and raw ones, whose connection broke before the answer was there. */
  broken: number
  /** Runs of lego and certbot that ended for such a request, and were begun again. */
  brokenRuns: number
}

/** Makes all orders, some at the same time, whatever happens meanwhile. */
export async function makeOrders(team: Team, load: Load, seen: Seen): Promise<void> {
  const jobs = (
    clients: number,
    isWanted: (next: number) => boolean,
    work: (name: string, own: number) => Promise<string>,
  ) => {
    let next = 0
    return Array.from({ length: clients }, async (_, own) => {
      while (isWanted(next)) {
        const pem = await work(`n${next++}`, own)
        seen.serials.push(bare(new X509Certificate(pem).serialNumber.toLowerCase()))
      }
    })
  }
  const upTo =
    (count = 0) =>
    (next: number): boolean =>
      next < count
  const isMore = load.more ?? (() => false)
  const raw = rawClients(team, seen)
  const npm = npmClients(team, seen)
  try {
    await Promise.all([
      ...jobs(
        load.clients ?? 6,
        (next) => upTo(load.raw)(next) || isMore(),
        (name, own) => raw.obtain(`${name}.raw.localhost`, own),
      ),
      ...jobs(6, upTo(load.acmeClient), (name, own) => npm.obtain(`${name}.npm.localhost`, own)),
      ...jobs(1, upTo(load.lego), (name) => lego(team, seen, `${name}.lego.localhost`)),
      ...jobs(1, upTo(load.certbot), (name) => certbot(team, seen, `${name}.certbot.localhost`)),
    ])
  } finally {
    raw.close()
    npm.close()
  }
}

export const nothingSeen = (): Seen => ({
  serials: [],
  orders: [],
  refusals: [],
  repeated: 0,
  broken: 0,
  brokenRuns: 0,
})

/** How long a client goes on after connections that broke. */
const patience = 300_000

/** Asks, signed anew, until an answer is there that is neither 5xx nor badNonce, and counts the others. */
async function insist(seen: Seen, ask: () => Promise<RawAnswer>): Promise<RawAnswer> {
  const deadline = Date.now() + patience
  for (;;) {
    let answer: RawAnswer | null = null
    try {
      answer = await ask()
    } catch (error) {
      seen.broken++
      if (Date.now() > deadline) throw error
    }
    if (answer !== null) {
      const isRefused = answer.status >= 500 || answer.text.includes('badNonce')
      if (!isRefused) return answer
      seen.refusals.push(`raw: ${answer.status} ${answer.text}`)
      if (Date.now() > deadline) throw new Error(answer.text)
    }
    await delay(100)
  }
}

/** Clients that send each finalize four times at once. */
function rawClients(team: Team, seen: Seen) {
  const clients = new Map<number, Promise<RawClient>>()
  async function open(): Promise<RawClient> {
    const client = new RawClient(team.directory, team.root)
    await insist(seen, () => client.send('GET', client.url)).then(
      ({ body }) => (client.directory = body),
    )
    const account = { termsOfServiceAgreed: true }
    const made = await insist(seen, () => client.postWithKey(client.to('newAccount'), account))
    client.kid = made.headers['location'] ?? ''
    return client
  }
  async function obtain(name: string, own: number): Promise<string> {
    if (!clients.has(own)) clients.set(own, open())
    const client = (await clients.get(own)) as RawClient
    const post = (url: string, payload: object | null) =>
      insist(seen, () => client.post(url, payload))
    const made = await insist(seen, () => client.order([name]))
    if (made.status !== 201) throw new Error(made.text)
    for (;;) {
      const { body, text } = await post(made.body.authorizations[0], null)
      if (body.status === 'valid') break
      if (body.status !== 'pending') throw new Error(text)
      const challenge = body.challenges.find(({ type }: { type: string }) => type === 'http-01')
      team.responder.answers.set(challenge.token, await keyAuthorization(client, challenge.token))
      const { body: asked } = await post(challenge.url, {})
      if (asked.status === 'processing') await delay(200)
    }
    const csr = csrFor([name], createKey())
    const answers = await Promise.all([1, 2, 3, 4].map(() => post(made.body.finalize, { csr })))
    for (const { status, text } of answers)
      if (status !== 200) seen.refusals.push(`finalize: ${status} ${text}`)
    const order = made.headers['location'] ?? ''
    const { body, text } = await post(order, null)
    if (body.status !== 'valid') throw new Error(text)
    seen.orders.push(order)
    return (await post(body.certificate, null)).text
  }
  return {
    obtain,
    close: () =>
      clients.forEach(
        (client) =>
          void client.then(
            (one) => one.close(),
            () => null,
          ),
      ),
  }
}

/** What acme-client does with its requests and answers itself. */
const ownTransforms = {
  request: [acmeClient.axios.defaults.transformRequest ?? []].flat(),
  response: [acmeClient.axios.defaults.transformResponse ?? []].flat(),
}

/** Clients of the package acme-client, each with an account. */
function npmClients(team: Team, seen: Seen) {
  // It repeats a request whose connection broke by itself, octet for octet.
  const [sent, repeated] = [new Set<string>(), new Set<string>()]
  const onRequest = (body: unknown): unknown => {
    if (typeof body !== 'string') return body
    if (sent.has(body)) {
      repeated.add(body)
      seen.broken++
    }
    sent.add(body)
    return body
  }
  function onResponse(this: { data?: unknown }, text: unknown, _: unknown, status = 0): unknown {
    const isBadNonce = typeof text === 'string' && text.includes('badNonce')
    if (isBadNonce && repeated.has(String(this.data))) seen.repeated++
    else if (isBadNonce || status >= 500)
      seen.refusals.push(`acme-client: ${status} ${String(text)}`)
    return text
  }
  const agent = new Agent({ ca: team.root, keepAlive: true })
  const { defaults } = acmeClient.axios
  defaults.transformRequest = [...ownTransforms.request, onRequest]
  defaults.transformResponse = [onResponse, ...ownTransforms.response]
  defaults.httpsAgent = agent
  defaults.proxy = false
  const clients = new Map<number, Promise<acmeClient.Client>>()
  async function open(): Promise<acmeClient.Client> {
    const accountKey = await acmeClient.crypto.createPrivateEcdsaKey()
    const client = new acmeClient.Client({ directoryUrl: team.directory, accountKey })
    await client.createAccount({ termsOfServiceAgreed: true })
    return client
  }
  async function obtain(name: string, own: number): Promise<string> {
    if (!clients.has(own)) clients.set(own, open())
    const client = (await clients.get(own)) as acmeClient.Client
    const order = await client.createOrder({ identifiers: [{ type: 'dns', value: name }] })
    for (const authorization of await client.getAuthorizations(order)) {
      const challenge = authorization.challenges.find(({ type }) => type === 'http-01')
      if (challenge === undefined) throw new Error('no http-01')
      const answer = await client.getChallengeKeyAuthorization(challenge)
      team.responder.answers.set(challenge.token, answer)
      await client.completeChallenge(challenge)
      await client.waitForValidStatus(challenge)
    }
    const [, csr] = await acmeClient.crypto.createCsr({ altNames: [name] })
    return client.getCertificate(await client.finalizeOrder(order, csr))
  }
  return { obtain, close: () => agent.destroy() }
}

/** What lego and certbot print of a connection that broke. */
const isBroken = ({ stdout, stderr }: Finished): boolean =>
  /\bEOF\b|connection reset|broken pipe|connection refused|server closed|RemoteDisconnected|ConnectionError|Connection aborted|timeout/i.test(
    stdout + stderr,
  )

/** Runs a client until it has what it wants; it may fail for a connection that broke alone. */
async function runUntilDone(seen: Seen, ask: () => Promise<Finished>): Promise<void> {
  const deadline = Date.now() + patience
  for (;;) {
    const ended = await ask()
    const said = `${ended.stdout}${ended.stderr}`
    if (/badNonce|serverInternal/.test(said)) seen.refusals.push(said)
    if (ended.exitCode === 0) return
    if (!isBroken(ended) || Date.now() > deadline) throw new Error(said)
    seen.broken++
    seen.brokenRuns++
    await delay(500)
  }
}

async function lego(team: Team, seen: Seen, name: string): Promise<string> {
  const path = join(team.home, 'lego')
  const line = [
    ...['--server', team.directory, '--email', 'me@example.com', '--accept-tos', '--path', path],
    ...['--domains', name, '--http', '--http.webroot', team.responder.webroot, 'run'],
  ]
  const env = { ...team.env, LEGO_CA_CERTIFICATES: team.rootPath }
  await runUntilDone(seen, () => run('/usr/bin/lego', line, env))
  return readFile(join(path, 'certificates', `${name}.crt`), 'utf8')
}

async function certbot(team: Team, seen: Seen, name: string): Promise<string> {
  const own = join(team.home, 'certbot')
  const line = [
    ...['certonly', '--non-interactive', '--server', team.directory, '--config-dir', own],
    ...['--work-dir', join(own, 'work'), '--logs-dir', join(own, 'logs')],
    ...['--webroot', '-w', team.responder.webroot, '-d', name, '--cert-name', name],
    ...['--agree-tos', '-m', 'me@example.com', '--no-eff-email'],
  ]
  const env = { ...team.env, REQUESTS_CA_BUNDLE: team.rootPath }
  await runUntilDone(seen, () => run('/usr/bin/certbot', line, env))
  return readFile(join(own, 'live', name, 'fullchain.pem'), 'utf8')
}
