import { expect, test } from 'vitest'
import { clientVerdicts } from '../../src/doctor/clients.ts'
import { makeWorld } from '../helpers/authority.ts'
import { knownOf } from './known.ts'

const root = { scope: 'local', isPublic: false, heldBy: [] } as const

test('advises for Node what keeps the roots that NODE_EXTRA_CA_CERTS names already', async () => {
  const world = await makeWorld()
  const env = { NODE_EXTRA_CA_CERTS: world.path('intermediate.pem') }
  const verdicts = await clientVerdicts([], root, knownOf(world, env, { programs: ['node'] }))
  expect(verdicts.find(({ client }) => client === 'Node')).toEqual({
    client: 'Node',
    accepts: false,
    why: ['It reads no store: eval "$(rootling env)"'],
  })
})
