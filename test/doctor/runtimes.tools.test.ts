import { expect, test } from 'vitest'
import { checkRuntimes } from '../../src/doctor/checks/runtimes.ts'
import { makeWorld } from '../helpers/authority.ts'
import { knownOf } from './known.ts'

test('advises for Node what keeps the roots that NODE_EXTRA_CA_CERTS names already', async () => {
  const world = await makeWorld()
  const env = { NODE_EXTRA_CA_CERTS: world.path('intermediate.pem') }
  const known = knownOf(world, env)
  const find = async (program: string) => (program === 'node' ? process.execPath : null)
  const { findings } = await checkRuntimes({ ...known, machine: { ...known.machine, find } })
  expect(findings).toMatchObject([
    { code: 'runtime-ignores-store', subject: 'Node', remedy: 'eval "$(rootling env)"' },
  ])
})
