import { expect, test } from 'vitest'
import { openHome } from '../helpers/home.ts'

test('list and list --json have one word for what a certificate is for', async () => {
  const { rootling, json, createAuthority } = openHome()
  await createAuthority()
  for (const line of [['shop.test'], ['ada@shop.test'], ['--client', 'bob@shop.test']])
    expect(await rootling(['issue', ...line])).toMatchObject({ exitCode: 0 })
  const { value } = await json(['list'])
  const uses = (value['certificates'] as { names: string[]; use: string }[]).map(
    ({ names, use }) => `${names.join()} ${use}`,
  )
  expect(uses).toEqual(
    expect.arrayContaining(['bob@shop.test client', 'ada@shop.test mail', 'shop.test server']),
  )
  const rows = (await rootling(['list'])).stdout
  expect(rows).toMatch(/^bob@shop\.test .* client /m)
  expect(rows).toMatch(/^ada@shop\.test .* mail /m)
  expect(rows).toMatch(/^shop\.test .* server /m)
})
