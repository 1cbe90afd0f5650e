import { createMemoryStorage } from '../../src/storage/memory/storage.ts'
import { describeStorage } from './contract.ts'

// What is in memory has no second opening: every reader has the same one.
describeStorage('memory', async () => {
  const storage = createMemoryStorage()
  return { storage, again: () => storage, afterThrow: 'nothing' }
})
