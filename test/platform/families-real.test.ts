import { describe, expect, it } from 'vitest'
import { findTrustStores } from '../../platform/index.ts'
import { createMachine } from '../../platform/machine.ts'
import { lifecycle } from './lifecycle-steps.ts'

// These write to the trust store of the machine that runs the tests, so only one that is thrown
// away afterwards asks for them.
const mayWrite = process.env['ROOTLING_TEST_REAL_STORE'] === '1'
const subject = '/O=Rootling development CA/CN=Rootling test root'

describe.skipIf(!mayWrite)(`the real system store of ${process.platform}`, () => {
  const scopes = process.platform === 'darwin' ? (['user', 'system'] as const) : [undefined]

  it.each(scopes)('goes through the life of a root (scope: %s)', async (scope) => {
    const machine = await createMachine()
    const store = async () => {
      const stores = await findTrustStores(machine, process.platform, { scope })
      const system = stores.find(({ kind }) => kind === 'system')
      if (system === undefined) throw new Error('no system store was found')
      return system
    }
    await expect(lifecycle({ store, trees: [], subject })).resolves.toBeUndefined()
  })
})
