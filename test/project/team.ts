import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { nothingAllowed, parseAllowed } from '../../src/project/approval.ts'
import { takeDown } from '../../src/project/down.ts'
import type { Danger, Step } from '../../src/project/step.ts'
import { bringUp, type Brought, type UpOptions } from '../../src/project/up.ts'
import type { TrustStore } from '../../platform/trust-store.ts'
import { temporaryDirectory, temporaryState } from '../helpers/temporary.ts'
import { createStore, createWorld, type RecordedWorld } from '../trust/memory-stores.ts'

/** A person with a clone of a repository, on a machine with stores in memory alone. */
export interface Clone {
  readonly directory: string
  readonly world: RecordedWorld
  readonly stores: readonly TrustStore[]
  /** What the person was asked to approve, each time. */
  readonly asked: (readonly Danger[])[]
  /** A hosts file of the clone's own. */
  readonly hostsFile: string
  write(path: string, text: string): void
  /** Writes rootling.json with these members and `version`. */
  file(members: object): void
  up(options?: Partial<UpOptions> & { readonly allow?: string }): Promise<Brought>
  down(options?: {
    readonly files?: boolean
    readonly planOnly?: boolean
  }): Promise<readonly Step[]>
}

export interface CloneOptions {
  readonly stores?: readonly TrustStore[]
  /** What the person answers when asked to approve; `null`: nobody can be asked. */
  readonly answer?: boolean | null
  /** Another clone of the same person, whose state is shared. */
  readonly beside?: Clone
}

export async function cloneOf(members: object | null, options: CloneOptions = {}): Promise<Clone> {
  const { beside, answer = null } = options
  const stores = options.stores ??
    beside?.stores ?? [createStore('browser'), createStore('system', { kind: 'system' })]
  const world = createWorld(beside?.world.state ?? (await temporaryState()), stores)
  const directory = join(await temporaryDirectory(), 'repository')
  const hostsFile = join(directory, '../hosts')
  const asked: (readonly Danger[])[] = []
  const write = (path: string, text: string): void => {
    mkdirSync(dirname(join(directory, path)), { recursive: true })
    writeFileSync(join(directory, path), text)
  }
  write('../hosts', '127.0.0.1 localhost\n')
  write('.git/HEAD', 'ref: refs/heads/main\n')
  const file = (given: object): void =>
    write('rootling.json', JSON.stringify({ version: 1, ...given }, null, 2))
  if (members !== null) file(members)
  return {
    directory,
    world,
    stores,
    asked,
    hostsFile,
    write,
    file,
    up: ({ allow, ...more } = {}) =>
      bringUp(world, {
        cwd: directory,
        hostsFile,
        allowed: allow === undefined ? nothingAllowed : parseAllowed(allow),
        approve: async (dangers) => {
          asked.push(dangers)
          return answer
        },
        ...more,
      }),
    down: async ({ files = false, planOnly = false } = {}) =>
      (await takeDown(world, { cwd: directory, files, planOnly, hostsFile })).steps,
  }
}

export const shop = {
  certificates: [
    { names: ['localhost', 'shop.test'], cert: '.certs/shop.pem', key: '.certs/shop-key.pem' },
  ],
}

/** The steps as `CODE: OUTCOME`. */
export const shownSteps = (steps: readonly Step[]): string[] =>
  steps.map(({ code, outcome }) => `${code}: ${outcome}`)
