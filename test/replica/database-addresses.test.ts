import { expect, test } from 'vitest'
import { watchAddresses } from '../../src/replica/database-addresses.ts'

function resolver(...answers: readonly (readonly string[] | Error)[]) {
  let time = 0
  let asked = 0
  return {
    options: {
      host: 'db.internal',
      now: () => time,
      find: () => {
        const answer = answers[asked++] ?? new Error('asked too often')
        return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer)
      },
    },
    pass: (milliseconds: number) => (time += milliseconds),
    asked: () => asked,
  }
}

test('a name is looked up again after a minute, and no sooner', async () => {
  const { options, pass, asked } = resolver(['10.1.0.1'], ['10.1.0.2'])
  const addresses = await watchAddresses(options)
  pass(59_999)
  expect(await addresses()).toEqual(['10.1.0.1'])
  expect(asked()).toBe(1)
  pass(1)
  expect(await Promise.all([addresses(), addresses()])).toEqual([['10.1.0.2'], ['10.1.0.2']])
  expect(asked()).toBe(2)
})

test('while the lookup fails or finds nothing, the last addresses count', async () => {
  const { options, pass, asked } = resolver(['10.1.0.1'], new Error('SERVFAIL'), [], ['10.1.0.2'])
  const addresses = await watchAddresses(options)
  for (const expected of ['10.1.0.1', '10.1.0.1', '10.1.0.2']) {
    pass(60_000)
    expect(await addresses()).toEqual([expected])
    // A failure too is asked again only after a minute.
    expect(await addresses()).toEqual([expected])
  }
  expect(asked()).toBe(4)
})

test('a name without an address is an error at the start, and a socket has none', async () => {
  const { options } = resolver(new Error('ENOTFOUND'))
  await expect(watchAddresses(options)).rejects.toMatchObject({
    code: 'database-away',
    message: expect.stringContaining('db.internal has no address'),
  })
  expect(await (await watchAddresses({ host: null }))()).toEqual([])
})
