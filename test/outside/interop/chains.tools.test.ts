import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { makeKinds, type Kinds, type Presented } from './kinds.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'
import { findVerifiers } from './verifiers.ts'

const { found, missing } = await findVerifiers()
let kinds: Kinds
let directory: string

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'rootling-kinds-'))
  kinds = await makeKinds({ path: join(directory, 'state'), owner: null }, new Date())
})
afterAll(() => rm(directory, { recursive: true, force: true }))

for (const tool of missing) test.skip(`${tool} judges our chains (not installed here)`, () => {})

describe.each(found)('$name', (verifier) => {
  async function judged(chains: readonly Presented[], expected: 'accepted' | 'refused') {
    const asked = chains.filter((chain) => verifier.exempt(chain, expected) === null)
    const verdicts = await verifier.verdicts(await temporaryDirectory(), asked)
    return asked.map(({ title }, i) => ({ title, said: verdicts[i] ?? null }))
  }

  test('accepts every kind of certificate, key and scope', async () => {
    const rows = await judged(kinds.inside, 'accepted')
    expect(rows.filter(({ said }) => said !== null)).toEqual([])
    expect(rows.length).toBeGreaterThan(40)
  })

  test('refuses what the stolen key of an intermediate signs outside its names', async () => {
    const rows = await judged(kinds.stolen, 'refused')
    expect(rows.filter(({ said }) => said === null)).toEqual([])
  })

  test('refuses a chain under another root', async () => {
    const rows = await judged(kinds.wrongRoot, 'refused')
    expect(rows.map(({ said }) => said === null)).toEqual([false, false])
  })

  test('refuses a certificate that has ended, and one that has not begun', async () => {
    const rows = await judged([kinds.expired, kinds.early], 'refused')
    expect(rows.map(({ said }) => said === null)).toEqual([false, false])
  })
})

// vfychain is asked for no name at all: it has no option for one.
describe.each(found.filter(({ name }) => !name.startsWith('vfychain')))('$name', (verifier) => {
  test('refuses a certificate for another host, address or mailbox', async () => {
    const others = { dns: 'other.test', ip: '127.0.0.2', email: 'you@mail.test', uri: 'x://other' }
    const chains = kinds.inside
      .filter(({ keyType, title }) => keyType === 'p256' && /, (?:local|mail), /.test(title))
      .filter(({ identifier: { type } }) => type !== 'uri')
      .map((chain) => {
        const asked = others[chain.identifier.type]
        return { ...chain, asked, identifier: { ...chain.identifier, value: asked } }
      })
    const verdicts = await verifier.verdicts(await temporaryDirectory(), chains)
    expect(chains.filter((_, i) => verdicts[i] === null)).toEqual([])
    expect(chains).toHaveLength(6)
  })
})
