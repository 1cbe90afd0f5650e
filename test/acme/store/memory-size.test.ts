import { randomBytes } from 'node:crypto'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, test } from 'vitest'
import { tokenOf, type AcmeIdentifier, type Order } from '../../../src/acme/resources.ts'
import { createTables, type Tables } from '../../../src/acme/store/tables.ts'

const newId = (): string => randomBytes(16).toString('base64url')
const accountId = newId()

/** Puts an order of 100 names as a client leaves it: proved by http-01, and with its certificate. */
function putOrder(tables: Tables, number: number): void {
  const identifiers = Array.from({ length: 100 }, (_, i): AcmeIdentifier => ({
    type: 'dns',
    value: `name${i}.o${number}.memory.localhost`,
  }))
  const authorizationIds = identifiers.map(() => newId())
  const [now, expires] = [1_700_000_000_000 + number, 1_800_000_000_000 + number]
  identifiers.forEach((identifier, i) => {
    const id = authorizationIds[i] ?? ''
    const challenges = (['http-01', 'tls-alpn-01', 'dns-01'] as const).map((type) => ({
      ...{ id: type, type, token: tokenOf(id, type) },
      ...(type === 'http-01' ? { requested: now, validated: now } : {}),
    }))
    const rest = { wildcard: false, deactivated: false, expires, challenges }
    tables.put('authorization', { id, accountId, identifier, ...rest }, 0)
  })
  const id = newId()
  const times = { createdAt: now, expires, profile: 'default' }
  const order: Order = { id, accountId, identifiers, authorizationIds, ...times }
  tables.put('order', order, 0)
  const [certificateId, serialNumber] = [newId(), randomBytes(16).toString('hex')]
  const facts = { serialNumber, issuerKeyIdentifier: 'ab', notBefore: now, notAfter: expires }
  const leaf = randomBytes(3_500).toString('base64')
  const certificate = { id: certificateId, accountId, orderId: id, identifiers, ...facts }
  tables.put('certificate', { ...certificate, leaf, issuers: 'issuers' }, 0)
  tables.put('order', { ...order, certificateId }, 0)
}

test('an order of 100 names takes at most 50 KiB of memory, where it took 63 before', () => {
  setFlagsFromString('--expose-gc')
  const gc = runInNewContext('gc') as () => void
  const used = (): number => {
    gc()
    gc()
    return process.memoryUsage().heapUsed
  }
  const tables = createTables()
  putOrder(tables, 0)
  const before = used()
  for (let number = 1; number <= 300; number++) putOrder(tables, number)
  const took = (used() - before) / 300 / 1024
  expect(tables.count('order')).toBe(301)
  expect(took).toBeLessThan(50)
})
