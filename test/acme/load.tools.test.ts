import { execFileSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readInventory } from '../../src/storage/files/record.ts'
import { long } from '../helpers/long.ts'
import { bundleServer, startServerProcess, type Bundle, type ServerProcess } from './child.ts'
import { createKey, csrFor, RawClient } from './raw.ts'
import { obtain, startResponder, type Responder } from './responder.ts'

// The long form, 1,000 orders from 20 accounts and 300 from one: ROOTLING_LONG_TESTS=1.
const counts = long ? { many: 1_000, one: 300 } : { many: 200, one: 60 }

let bundle: Bundle
let server: ServerProcess
let responder: Responder
beforeAll(async () => {
  bundle = await bundleServer()
  responder = await startResponder()
  server = await startServerProcess(bundle, responder.port)
})
afterAll(async () => {
  await Promise.all([responder.close(), bundle.remove()])
})

/** Orders so many certificates, some at once; each is in the record and in the account's list. */
async function orderMany(clients: readonly RawClient[], count: number, atOnce: number) {
  const key = createKey()
  const names = Array.from({ length: count }, (_, i) => `n${i}-${count}.localhost`)
  const requests = new Map(names.map((name) => [name, csrFor([name], key)]))
  const serialNumbers: string[] = []
  const queue = [...names.entries()]
  const began = performance.now()
  const work = async (): Promise<void> => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const [i, name] = next
      const client = clients[i % clients.length]
      if (client === undefined) throw new RangeError('no client')
      const { chain } = await obtain(client, [name], responder, {}, requests.get(name))
      const leaf = new X509Certificate(chain)
      expect(leaf.subjectAltName).toBe(`DNS:${name}`)
      serialNumbers.push(leaf.serialNumber.toLowerCase())
    }
  }
  await Promise.all(Array.from({ length: atOnce }, work))
  const seconds = (performance.now() - began) / 1_000
  console.log(
    `${count} orders, ${clients.length} accounts, ${atOnce} at once: ${(count / seconds).toFixed(0)}/s`,
  )
  const recorded = new Set(
    (await readInventory(server.state)).certificates.map((one) => one.serialNumber),
  )
  expect(new Set(serialNumbers).size).toBe(count)
  expect(serialNumbers.filter((one) => !recorded.has(one))).toEqual([])
  for (const client of clients) {
    const account = await client.post(client.kid, null)
    const { orders } = (await client.post(account.body.orders, null)).body
    expect(orders).toHaveLength(count / clients.length)
    client.close()
  }
}

async function open(count: number): Promise<RawClient[]> {
  return Promise.all(
    Array.from({ length: count }, () => new RawClient(server.directory, server.root).start()),
  )
}

test(`loses none of ${counts.many} orders from 20 accounts at once`, async () => {
  await orderMany(await open(20), counts.many, 20)
})

test(`loses none of ${counts.one} orders from one account, 8 at once`, async () => {
  await orderMany(await open(1), counts.one, 8)
})

test('orders one at a time', async () => {
  await orderMany(await open(1), 40, 1)
})

// Node 20 takes 44 MiB to listen, Node 26 55.
test('takes at most 2.3 times the memory for all that which Node takes to listen', async () => {
  const said = await server.stop()
  const megabytes = Number(/rss (\d+) MiB/.exec(said)?.[1])
  const script = `require('https').createServer().listen(0, () => {
    console.log(process.memoryUsage().rss / 1024 / 1024)
    process.exit()
  })`
  const bare = Number(execFileSync(process.execPath, ['-e', script], { encoding: 'utf8' }))
  console.log(`the server took ${megabytes} MiB, and Node alone ${bare.toFixed(0)}`)
  expect(bare).toBeGreaterThan(20)
  expect(megabytes).toBeLessThanOrEqual(2.3 * bare)
  expect(said.replace(/^(ready|rss) .*$/gm, '').trim()).toBe('')
})
