import { expect, test } from 'vitest'
import { askEach } from '../../src/trust/ask-each.ts'

test('of 200 stores eight at the most are asked at once, and the answers are in their order', async () => {
  const stores = Array.from({ length: 200 }, (_, i) => i)
  let [running, most] = [0, 0]
  const answers = await askEach(stores, async (store) => {
    most = Math.max(most, ++running)
    for (let i = 0; i < store % 7; i++) await Promise.resolve()
    running--
    return `${store}`
  })
  expect(answers).toEqual(stores.map(String))
  expect(most).toBe(8)
  expect(await askEach([], async () => 1)).toEqual([])
})

test('an error of one store is thrown', async () => {
  const ask = async (store: number): Promise<number> => {
    if (store === 3) throw new Error('three')
    return store
  }
  await expect(askEach([1, 2, 3, 4], ask)).rejects.toThrow('three')
})
