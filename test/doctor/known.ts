import type { Machine } from '../../platform/machine.ts'
import type { Known } from '../../src/doctor/checks/check.ts'
import type { World } from '../helpers/authority.ts'

/**
 * Returns what the checks of doctor know of a machine with an authority, these variables and nothing
 * else. `programs`: the names of the programs that are on it.
 */
export function knownOf(
  { state, scope, directory }: World,
  env: Readonly<Record<string, string>> = {},
  { programs = [], ...given }: Partial<Known> & { readonly programs?: readonly string[] } = {},
): Known {
  const now = new Date()
  const world: Known['world'] = {
    state,
    env,
    now: () => now,
    interactive: false,
    confirm: async () => false,
    report: () => undefined,
  }
  const machine = {
    env,
    person: { name: 'tester', uid: 1000, home: directory },
    find: async (program: string) => (programs.includes(program) ? `/bin/${program}` : null),
  } as unknown as Machine
  return {
    world,
    cwd: directory,
    now,
    machine,
    scopes: [scope],
    inventory: { certificates: [], revocations: new Map(), forgotten: new Set() },
    stores: [],
    outcomes: [],
    chosenNone: false,
    untrusted: [],
    ...given,
  }
}
