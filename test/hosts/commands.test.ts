import { expect, test } from 'vitest'
import { hostsAdd } from '../../src/cli/commands/hosts-add.ts'
import type { Context } from '../../src/cli/context.ts'
import { conflictError } from '../../src/hosts/plan.ts'

test('hosts add without a name is wrong usage', async () => {
  const add = (...positionals: string[]) => hostsAdd({ positionals }, {} as Context)
  await expect(add()).rejects.toMatchObject({
    code: 'usage',
    message: 'Name the hosts to add.',
    hint: 'Such as: rootling hosts add shop.test',
  })
  await expect(add('')).rejects.toMatchObject({ code: 'bad-name' })
})

test('a conflict names where its address is chosen: an option, or the file of the project', () => {
  const conflict = { name: 'a.test', address: '127.0.0.1', file: '/etc/hosts', found: 'line 1: x' }
  const hint = (project: string | null) =>
    conflictError({ conflicts: [conflict] }, { project }).hint
  expect(hint(null)).toBe('Change that line by hand, or choose its address with --address')
  expect(hint('/shop')).toBe(
    'Change that line by hand, or choose its address under hosts in rootling.json or rootling.local.json',
  )
})
