import { expect, onTestFinished, test } from 'vitest'
import { createMemory } from '../../src/acme/store/memory.ts'
import { startAcme } from './harness.ts'
import { RawClient } from './raw.ts'

test('a stranger who is refused has nothing written', async () => {
  const opened = createMemory()()
  let commits = 0
  const acme = await startAcme({
    options: { eabRequired: true },
    store: {
      ...opened,
      async open(need) {
        const unit = await opened.open(need)
        return {
          ...unit,
          commit(nonce) {
            commits++
            return unit.commit(nonce)
          },
        }
      },
    },
  })
  onTestFinished(() => acme.close())
  const client = new RawClient(acme.directory, acme.root)
  onTestFinished(() => client.close())
  await expect(client.start()).rejects.toThrow('externalAccountRequired')
  expect(commits).toBe(0)
})
