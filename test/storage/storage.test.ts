import { createMemoryStorage } from '../../src/storage/memory/storage.ts'
import { fileStorage } from '../../src/storage/files/storage.ts'
import { temporaryState } from '../helpers/temporary.ts'
import { describeStorage } from './contract.ts'

// What is in memory has no second opening: every reader has the same one.
describeStorage('memory', async () => {
  const storage = createMemoryStorage()
  return { storage, again: () => storage, afterThrow: 'nothing' }
})

describeStorage('files', async () => {
  const state = await temporaryState()
  // The copy has an index of its own, as another process has.
  const again = () => fileStorage({ ...state })
  return { storage: fileStorage(state), again, afterThrow: 'a prefix' }
})
