import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import type { Order, StoredCertificate } from '../../../src/acme/resources.ts'
import { commitStep } from '../../../src/acme/store/contract.ts'
import { openFileStore } from '../../../src/acme/store/files.ts'
import type { Recording } from '../../../src/certificates/issuer.ts'
import { temporaryState } from '../../helpers/temporary.ts'
import { describeStore, recordBeside } from './contract.ts'

const expires = Date.now() + 86_400_000

/** A place whose store was killed while it recorded a certificate. */
async function killed(recordedBefore: boolean) {
  const state = await temporaryState()
  const isRecorded = () => Promise.resolve(recordedBefore)
  const open = () => openFileStore({ state, now: () => new Date(), isRecorded })
  const store = await open()
  const order = { id: 'o', accountId: 'a', identifiers: [], authorizationIds: [], expires }
  await commitStep(store, {}, (unit) => unit.put('order', order as unknown as Order))
  const unit = await store.open({ order: 'o' })
  const certificate = { id: 'c', orderId: 'o', serialNumber: 'ab', issuers: '' }
  unit.put('certificate', certificate as StoredCertificate)
  unit.put('order', { ...(order as unknown as Order), certificateId: 'c', csrDigest: 'd' })
  const reached = new Promise<void>((resolve) => {
    const write = (): Promise<boolean> => {
      resolve()
      return new Promise(() => undefined)
    }
    unit.record({ certificate: { serialNumber: 'ab' }, write } as Recording)
  })
  void unit.commit(null)
  await reached
  return open
}

test.each([
  ['after it wrote the record has certificate and order', true, ['c', 'd', 'c']],
  ['before that has neither', false, [undefined, undefined, undefined]],
])('a store in files that is killed %s', async (_, recorded, expected) => {
  const open = await killed(recorded)
  // A second kill changes nothing about it, and neither does the authority's later word.
  await (await open()).close()
  const store = await open()
  onTestFinished(() => store.close())
  const unit = await store.open({ order: 'o', serialNumber: 'ab' })
  const { certificateId, csrDigest } = unit.get('order', 'o') ?? {}
  expect([certificateId, csrDigest, unit.certificateBySerialNumber('ab')?.id]).toEqual(expected)
})

test('a journal of an earlier version is read, with challenges whose IDs are not their types', async () => {
  const state = await temporaryState()
  mkdirSync(join(state.path, 'acme'), { mode: 0o700, recursive: true })
  const authorization = {
    id: 'z',
    accountId: 'a',
    identifier: { type: 'dns', value: 'a.localhost' },
    wildcard: false,
    expires,
    deactivated: false,
    challenges: [
      { id: 'one', type: 'http-01', token: 't', requested: 5, validated: 6 },
      { id: 'two', type: 'dns-01', token: 'u' },
    ],
  }
  const path = join(state.path, 'acme', 'journal')
  writeFileSync(path, `${JSON.stringify(['authorization', authorization])}\n`)
  const isRecorded = () => Promise.resolve(false)
  for (let restarts = 0; restarts < 2; restarts++) {
    const store = await openFileStore({ state, now: () => new Date(), isRecorded })
    const unit = await store.open({ authorization: 'z' })
    expect(unit.get('authorization', 'z')).toEqual(authorization)
    await store.close()
  }
  for (const member of ['accountId', 'identifier', 'challenges']) {
    writeFileSync(
      path,
      `${JSON.stringify(['authorization', { ...authorization, [member]: [7] }])}\n`,
    )
    const opening = openFileStore({ state, now: () => new Date(), isRecorded })
    await expect(opening).rejects.toMatchObject({ code: 'corrupt-state' })
  }
  for (const damaged of ['[["z","dns"]]', '[["z","dns","a",1,0,[["http-01"]]]]', '[7]', '{}']) {
    writeFileSync(path, `["authorizations","a",${damaged}]\n["challenge","z",0,1,2,3,4]\n`)
    const opening = openFileStore({ state, now: () => new Date(), isRecorded })
    await expect(opening).rejects.toMatchObject({ code: 'corrupt-state' })
  }
})

test('a journal of an earlier version, which has certificates that are not on record yet, is completed', async () => {
  const state = await temporaryState()
  mkdirSync(join(state.path, 'acme'), { mode: 0o700, recursive: true })
  const order = { id: 'o', accountId: 'a', identifiers: [], authorizationIds: [], expires }
  const certificate = { id: 'c', orderId: 'o', serialNumber: 'ab', issuers: '' }
  const lines = [
    ['order', order],
    ['order', { ...order, id: 'p' }],
    ['certificate', certificate],
    ['certificate', { ...certificate, id: 'd', orderId: 'p', serialNumber: 'cd' }],
  ]
  const journal = lines.map((line) => `${JSON.stringify(line)}\n`).join('')
  writeFileSync(join(state.path, 'acme', 'journal'), journal)
  const isRecorded = (serialNumber: string) => Promise.resolve(serialNumber === 'ab')
  const store = await openFileStore({ state, now: () => new Date(0), isRecorded })
  onTestFinished(() => store.close())
  const unit = await store.open({ ordersOf: 'a' })
  expect(unit.ordersOf('a').map((one) => one.certificateId)).toEqual([undefined, 'c'])
  expect(unit.certificateBySerialNumber('cd')).toBeUndefined()
})

describeStore('files', async () => {
  const state = await temporaryState()
  const record = recordBeside()
  const isRecorded = async (serialNumber: string) =>
    (await record.recorded()).includes(serialNumber)
  const now = () => new Date()
  return { ...record, open: () => openFileStore({ state, now, isRecorded }) }
})
