import { expect, test } from 'vitest'
import { refuseForeignNames } from '../../src/replica/eab-names.ts'
import { foundAuthority } from '../../src/replica/found.ts'
import { createMemoryStorage } from '../../src/storage/memory/storage.ts'

test('a key is for names of which the authority may sign some', async () => {
  const storage = createMemoryStorage()
  await foundAuthority(storage, { permit: ['team.internal', '10.1.0.0/16'] }, new Date())
  const good = ['team.internal', 'a.team.internal', '*.team.internal', '*.a.b.team.internal']
  await refuseForeignNames(storage, [...good, '*.internal', '10.1.2.3', '10.0.0.0/8'])
  await refuseForeignNames(storage, [])
  for (const foreign of ['example.com', '*.example.com', 'internal', 'xteam.internal', '10.2.0.1'])
    await expect(refuseForeignNames(storage, ['team.internal', foreign])).rejects.toMatchObject({
      code: 'usage',
      message: `The authority may sign no name of ${foreign}.`,
      hint: 'It may sign team.internal, 10.1.0.0/16, all below that, and nothing else',
    })
  await expect(refuseForeignNames(storage, ['a b'])).rejects.toMatchObject({ code: 'usage' })
})
