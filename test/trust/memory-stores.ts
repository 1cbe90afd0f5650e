import type { TrustAnchor, TrustStore } from '../../platform/trust-store.ts'
import { RootlingError } from '../../src/errors.ts'
import type { StateDirectory } from '../../src/home/state-directory.ts'
import type { StoreOutcome } from '../../src/trust/stores.ts'
import type { Question, TrustEvent, TrustWorld } from '../../src/trust/world.ts'

/** A store in memory, with whatever a test wants to be different. */
export function createStore(id: string, changes: Partial<TrustStore> = {}): TrustStore {
  const held = new Map<string, TrustAnchor>()
  return {
    id,
    kind: 'nss',
    title: id,
    availability: async () => ({ available: true }),
    list: async () => [...held.values()],
    has: async ({ fingerprint }) => held.has(fingerprint),
    install: async (root) => void held.set(root.fingerprint, root),
    uninstall: async ({ fingerprint }) => void held.delete(fingerprint),
    ...changes,
  }
}

export const broken = async () => {
  throw new RootlingError('tool-failed', 'It broke.', { hint: 'Repair it' })
}

export const shown = (outcomes: readonly StoreOutcome[]) =>
  outcomes.map(({ store, outcome }) => `${store.id}: ${outcome}`)

export interface RecordedWorld extends TrustWorld {
  readonly questions: Question[]
  readonly events: TrustEvent[]
}

/** A store as a dry run sees it, where a `Machine` would only record the changes. */
function unchanging({ together, ...store }: TrustStore): TrustStore {
  const nothing = async (): Promise<void> => undefined
  const change = { install: nothing, uninstall: nothing }
  return { ...store, ...change, ...(together === undefined ? {} : { together: change }) }
}

/** A machine with these stores alone, and a person who answers everything alike. */
export function createWorld(
  state: StateDirectory,
  stores: readonly TrustStore[],
  answer = true,
): RecordedWorld {
  const questions: Question[] = []
  const events: TrustEvent[] = []
  return {
    questions,
    events,
    state,
    env: process.env,
    now: () => new Date(),
    interactive: false,
    confirm: async (question) => {
      questions.push(question)
      return answer
    },
    report: (event) => void events.push(event),
    findStores: async ({ dryRun }) => (dryRun ? stores.map(unchanging) : [...stores]),
  }
}

export const typesOf = (list: readonly { readonly type: string }[]) => list.map(({ type }) => type)
