import { X509Certificate } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { findTrustStores } from '../../platform/index.ts'
import { createMachine } from '../../platform/machine.ts'
import { createAnchor } from '../../platform/pem.ts'
import { makeScope } from '../../src/authority/ceremony.ts'
import { lifecycle } from './lifecycle-steps.ts'
import type { TestRoot } from './world.ts'

// These write to the trust store of the machine that runs the tests, so only one that is thrown
// away afterwards asks for them.
const mayWrite = process.env['ROOTLING_TEST_REAL_STORE'] === '1'

/** A root of our own making: the OpenSSL of macOS and Windows may be another or none. */
async function makeOwnRoot(): Promise<TestRoot> {
  const plan = { name: 'test', permitted: ['localhost'], constraints: null }
  const { root } = await makeScope(plan, new Date())
  return { anchor: createAnchor(new X509Certificate(root).raw), leaf: '' }
}

describe.skipIf(!mayWrite)(`the real system store of ${process.platform}`, () => {
  const scopes = process.platform === 'darwin' ? (['user', 'system'] as const) : [undefined]

  test.each(scopes)('goes through the life of a root (scope: %s)', async (scope) => {
    const machine = await createMachine()
    const store = async () => {
      const stores = await findTrustStores(machine, process.platform, { storeScope: scope })
      const system = stores.find(({ kind }) => kind === 'system')
      if (system === undefined) throw new Error('no system store was found')
      return system
    }
    const roots = [await makeOwnRoot(), await makeOwnRoot()] as const
    await expect(lifecycle({ store, trees: [], roots })).resolves.toBeUndefined()
  })
})
