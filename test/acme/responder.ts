import { once } from 'node:events'
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { calculateJwkThumbprint } from 'jose'
import type { RawAnswer, RawClient } from './raw.ts'
import { csrFor } from './raw.ts'

/** Answers http-01 for every account and token that it was told of. */
export interface Responder {
  readonly port: number
  /** Token → what to answer. */
  readonly answers: Map<string, string>
  close(): Promise<void>
}

/** `listener` answers in its place; 0 takes a free port. */
export async function startResponder(
  listener?: RequestListener,
  port = 0,
  host = '127.0.0.1',
): Promise<Responder> {
  const answers = new Map<string, string>()
  const server: Server = createServer((request, response) => {
    if (listener !== undefined) {
      listener(request, response)
      return
    }
    const token = request.url?.split('/').at(-1) ?? ''
    response.statusCode = answers.has(token) ? 200 : 404
    response.end(answers.get(token))
  })
  server.listen(port, host)
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    answers,
    async close() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

export async function keyAuthorization(client: RawClient, token: string): Promise<string> {
  return `${token}.${await calculateJwkThumbprint(client.key.jwk)}`
}

/** Proves every authorization of an order by http-01. */
export async function authorize(
  client: RawClient,
  order: RawAnswer,
  responder: Responder,
): Promise<void> {
  for (const url of order.body.authorizations) {
    const authorization = await client.post(url, null)
    const challenge = authorization.body.challenges.find(
      ({ type }: { type: string }) => type === 'http-01',
    )
    const { token } = challenge
    responder.answers.set(token, await keyAuthorization(client, token))
    let answer = await client.post(challenge.url, {})
    // A server that is busy answers before the validation has ended (RFC 8555 §7.5.1).
    while (answer.body.status === 'processing') {
      await delay(100)
      answer = await client.post(challenge.url, null)
    }
    if (answer.body.status !== 'valid') throw new Error(answer.text)
    responder.answers.delete(token)
  }
}

/** From order to certificate. */
export async function obtain(
  client: RawClient,
  names: readonly string[],
  responder: Responder,
  more: object = {},
  csr: string = csrFor(names),
): Promise<{ order: string; certificate: string; chain: string }> {
  const order = await client.order(names, more)
  if (order.status !== 201) throw new Error(order.text)
  await authorize(client, order, responder)
  const finalized = await client.post(order.body.finalize, { csr })
  if (finalized.body.status !== 'valid') throw new Error(finalized.text)
  const certificate: string = finalized.body.certificate
  const { text } = await client.post(certificate, null)
  return { order: order.headers['location'] ?? '', certificate, chain: text }
}
