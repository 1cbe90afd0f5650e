import { X509Certificate } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readInventory } from '../../src/storage/files/record.ts'
import { long, tally } from '../helpers/long.ts'
import { waitFor } from '../helpers/subprocess.ts'
import { bundleServer, startServerProcess, type Bundle, type ServerProcess } from './child.ts'
import { createKey, csrFor, RawClient, type RawAnswer } from './raw.ts'
import { keyAuthorization, startResponder, type Responder } from './responder.ts'

const kills = long ? 100 : 8

let bundle: Bundle
let server: ServerProcess
let responder: Responder
beforeAll(async () => {
  bundle = await bundleServer()
  responder = await startResponder()
  server = await startServerProcess(bundle, responder.port)
})
afterAll(async () => {
  await server.stop()
  await Promise.all([responder.close(), bundle.remove()])
})

/** Asks until the server, which may be dead at the moment, has answered. */
async function insist(ask: () => Promise<RawAnswer>): Promise<RawAnswer> {
  const deadline = Date.now() + 200_000
  for (;;) {
    try {
      const answer = await ask()
      if (!answer.text.includes('badNonce')) return answer
    } catch (error) {
      if (Date.now() > deadline) throw error
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }
}

/** A certificate, whatever happens in between. Adds what the server acknowledged to `told`. */
async function obtainStubbornly(client: RawClient, name: string, told: Told): Promise<void> {
  const made = await insist(() => client.order([name]))
  expect(made.status).toBe(201)
  const order = made.headers['location'] ?? ''
  told.orders.add(order)
  const authorization: string = made.body.authorizations[0]
  for (;;) {
    const { body, status } = await insist(() => client.post(authorization, null))
    expect(status).toBe(200)
    if (body.status === 'valid') break
    const challenge = body.challenges[0]
    responder.answers.set(challenge.token, await keyAuthorization(client, challenge.token))
    await insist(() => client.post(challenge.url, {}))
  }
  const csr = csrFor([name], createKey())
  for (;;) {
    const { body, status } = await insist(() => client.post(order, null))
    expect(status).toBe(200)
    if (body.status === 'valid') {
      const { text } = await insist(() => client.post(body.certificate, null))
      told.certificates.set(body.certificate, text)
      return
    }
    expect(body.status).toMatch(/^(ready|processing)$/)
    await insist(() => client.post(made.body.finalize, { csr }))
  }
}

interface Told {
  readonly orders: Set<string>
  readonly certificates: Map<string, string>
}

test(
  `neither loses nor invents a certificate when killed ${kills} times`,
  async () => {
    const told: Told = { orders: new Set(), certificates: new Map() }
    const clients = await Promise.all(
      Array.from({ length: 4 }, () => new RawClient(server.directory, server.root).start()),
    )
    const until = { killing: true }
    const working = clients.map(async (client, i) => {
      for (let n = 0; until.killing; n++)
        await obtainStubbornly(client, `k${i}-${n}.localhost`, told)
    })
    try {
      for (let i = 0; i < kills; i++) {
        await new Promise((resolve) => setTimeout(resolve, 100 + Math.random() * 400))
        await server.killAndRestart()
        tally('kills of the ACME server at random', 1)
      }
      // A slow machine gets few through between two kills: the orders that were met by one go on.
      await waitFor('certificates', () => (told.certificates.size > kills ? true : null))
    } finally {
      until.killing = false
    }
    await Promise.all(working)
    await server.killAndRestart()

    const { certificates } = await readInventory(server.state)
    const recorded = certificates
      .filter(({ identifiers }) => /^k\d/.test(identifiers[0]?.value ?? ''))
      .map(({ serialNumber }) => serialNumber)
    const given = [...told.certificates.values()].map((chain) =>
      new X509Certificate(chain).serialNumber.toLowerCase(),
    )
    // Every certificate on record was given for an order, and every one that was given is on record.
    expect(recorded.toSorted()).toEqual(given.toSorted())
    expect(given.length).toBeGreaterThan(kills)
    for (const client of clients) {
      const { body } = await insist(() => client.post(client.kid, null))
      const list = await insist(() => client.post(body.orders, null))
      for (const order of list.body.orders) told.orders.delete(order)
      for (const [url, chain] of told.certificates) {
        const answer = await insist(() => client.post(url, null))
        if (answer.status === 200) expect(answer.text).toBe(chain)
        if (answer.status === 200) told.certificates.delete(url)
      }
      client.close()
    }
    expect([told.orders.size, told.certificates.size]).toEqual([0, 0])
    console.log(`${given.length} certificates over ${kills} kills`)
  },
  900_000 + kills * 100_000,
)
