import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { mappingsOf } from '../../src/hosts/hosts-file.ts'
import { readProjectRecords } from '../../src/project/record.ts'
import { createStore } from '../trust/memory-stores.ts'
import { cloneOf, shop, shownSteps } from './team.ts'

const members = { ...shop, hosts: { 'shop.test': '127.0.0.1' }, env: { file: '.env.rootling' } }

test('two at once for one project lose nothing and do nothing twice', async () => {
  const clone = await cloneOf(members)
  clone.write('.gitignore', 'node_modules')
  const both = await Promise.all([clone.up(), clone.up()])
  for (const { steps } of both)
    expect(shownSteps(steps).filter((step) => step.endsWith('failed'))).toEqual([])
  const ignored = readFileSync(join(clone.directory, '.gitignore'), 'utf8').split('\n')
  expect(ignored.toSorted()).toEqual(
    ['', '/.certs/shop-key.pem', '/.certs/shop.pem', '/.env.rootling', 'node_modules'].toSorted(),
  )
  expect(mappingsOf(readFileSync(clone.hostsFile, 'latin1'), ['shop.test'])).toHaveLength(1)
  expect(readdirSync(join(clone.world.state.path, 'scopes'))).toHaveLength(1)
  expect(shownSteps((await clone.up()).steps).every((step) => step.endsWith('unchanged'))).toBe(
    true,
  )
})

test('two projects of one person at once are both recorded', async () => {
  const one = await cloneOf(members)
  const two = await cloneOf(members, { beside: one })
  await Promise.all([one.up(), two.up()])
  const records = await readProjectRecords(one.world.state)
  expect(records.map(({ project }) => project).toSorted()).toEqual(
    [one.directory, two.directory].toSorted(),
  )
})

test('a second run asks no store whose files did not change, and --check asks it', async () => {
  let asked = 0
  const memory = createStore('browser')
  const store = createStore('browser', {
    ...memory,
    stamp: async () => String((await memory.list()).length),
    async has(anchor) {
      asked++
      return memory.has(anchor)
    },
  })
  const clone = await cloneOf(shop, { stores: [store] })
  await clone.up()
  const before = asked
  await clone.up()
  expect(asked).toBe(before)
  await clone.up({ planOnly: true })
  expect(asked).toBe(before + 1)
  // A root that somebody else takes out is noticed.
  for (const anchor of await memory.list()) await memory.uninstall(anchor)
  const { steps } = await clone.up()
  expect(shownSteps(steps)).toContain('authority: changed')
})
