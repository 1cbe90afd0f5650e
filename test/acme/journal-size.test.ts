import { statSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import { openStore } from '../../src/acme/store/store.ts'
import { startWithClient } from './with-client.ts'
import { obtain } from './responder.ts'

vi.setConfig({ testTimeout: 120_000 })

test('an order of 100 names takes at most 63 KB of the journal, a third of what it took once', async () => {
  const { acme, client, responder, close } = await startWithClient()
  const size = () => statSync(join(acme.state.path, 'acme', 'journal')).size
  const before = size()
  const names = Array.from({ length: 100 }, (_, i) => `name${i}.journal.localhost`)
  await obtain(client, names, responder)
  const took = size() - before
  await close()
  const store = await openStore(acme.state, () => new Date())
  onTestFinished(() => store.close())
  const rewritten = size() - before
  console.log(`100 names: ${took} octets, rewritten ${rewritten}`)
  expect(took).toBeLessThan(63_000)
  expect(rewritten).toBeLessThan(48_000)
  expect([...store.all('authorization')]).toHaveLength(100)
})
