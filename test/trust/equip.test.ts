import { expect, test } from 'vitest'
import type { Machine } from '../../platform/machine.ts'
import type { Unavailable } from '../../platform/trust-store.ts'
import { equipStores } from '../../src/trust/equip.ts'
import { createFakeMachine } from '../platform/fake-machine.ts'
import { createStore, createWorld, typesOf } from './memory-stores.ts'

const unavailable: Unavailable = {
  available: false,
  code: 'missing-tool',
  reason: 'certutil is not there.',
  hint: 'sudo apt-get install libnss3-tools',
  tool: { program: 'certutil', install: ['/usr/bin/apt-get', 'install', 'libnss3-tools'] },
}
const state = { path: '/nowhere', owner: null }
const lacking = createStore('a', { availability: async () => unavailable })
const equipped = createStore('a')

function find(machine: Machine) {
  return { machine, stores: [lacking], findAgain: async () => [equipped] }
}

const withApt = (exitCode: number) =>
  createFakeMachine({
    programs: { 'apt-get': '/usr/bin/apt-get' },
    answer: () => ({ exitCode, stderr: 'No network.' }),
  })

test('installs what a store lacks once the person agrees, and finds the stores anew', async () => {
  const machine = withApt(0)
  const world = createWorld(state, [])
  expect(await equipStores(find(machine), world)).toEqual([equipped])
  expect(world.questions).toEqual([
    {
      type: 'install-tool',
      program: 'certutil',
      reason: 'certutil is not there. sudo apt-get install libnss3-tools',
    },
  ])
  expect(machine.commands).toEqual([
    'root /usr/bin/apt-get install -y --no-install-recommends libnss3-tools',
  ])
  expect(world.events).toEqual([{ type: 'tool-installing', program: 'certutil' }])
})

test('installs nothing that the person refuses', async () => {
  const machine = withApt(0)
  const world = createWorld(state, [], false)
  expect(await equipStores(find(machine), world)).toEqual([lacking])
  expect(machine.commands).toEqual([])
  expect(world.events).toEqual([])
})

test('goes on with the stores as they are where the installation fails', async () => {
  const world = createWorld(state, [])
  expect(await equipStores(find(withApt(100)), world)).toEqual([lacking])
  expect(typesOf(world.events)).toEqual(['tool-installing', 'tool-failed'])
})

test('asks nothing in a dry run, and plans the installation', async () => {
  const machine = { ...withApt(0), dryRun: true }
  const world = createWorld(state, [], false)
  expect(await equipStores(find(machine), world)).toEqual([lacking])
  expect(world.questions).toEqual([])
  expect(machine.commands).toHaveLength(1)
})

test('asks nothing where no store lacks anything', async () => {
  const world = createWorld(state, [])
  const found = { ...find(withApt(0)), stores: [equipped] }
  expect(await equipStores(found, world)).toEqual([equipped])
  expect(world.questions).toEqual([])
})
