import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { command } from '../../helpers/built.ts'
import { namespaceUnavailable, openNamespace, type Namespace } from '../../helpers/namespace.ts'
import { rootlingIn } from '../../helpers/rootling.ts'
import { testNamespace } from '../../helpers/test-namespace.ts'
import { findRuntimes, type Runtime } from './runtimes/programs.ts'
import { serveAsked, type AskedServer } from './runtimes/server.ts'

// What each program trusts by itself and as a child of `rootling run`, as docs/runtimes.md says it:
// our root, and the root of another authority that is in the system store only, as public roots are.

const obstacle = namespaceUnavailable()
const runtimes = obstacle === null ? await findRuntimes() : []

/** A machine with a server under our root and one under another's. */
interface World {
  readonly namespace: Namespace
  readonly ours: AskedServer
  readonly others: AskedServer
}

async function openWorld(stores: 'none' | 'system'): Promise<World> {
  const namespace = await openNamespace()
  const rootling = rootlingIn(namespace)
  const serve = async (...flags: string[]): Promise<AskedServer> => {
    const out = join(namespace.home, `out${flags.at(-1) ?? ''}`)
    await rootling.must(['issue', 'localhost', '--out-dir', out, ...flags])
    const read = async (name: string) => (await namespace.readFile(join(out, name))) ?? ''
    return serveAsked(await read('localhost-key.pem'), await read('localhost.pem'))
  }
  await rootling.must(['install', '--yes', '--stores', 'none'])
  const ours = await serve()
  const others = await serve('--ca', 'other')
  await rootling.must(['install', '--yes', '--stores', 'system,java', '--ca', 'other'])
  if (stores === 'system') await rootling.must(['install', '--yes', '--stores', 'system,java'])
  return { namespace, ours, others }
}

/** Whether a program accepts the certificate of a server, by itself or as a child of `run`. */
async function accepts(
  { namespace }: World,
  { fetch, env = {}, input = '' }: Runtime,
  server: AskedServer,
  byRun: boolean,
): Promise<boolean> {
  server.takeAsked()
  const [program = '', ...args] = fetch?.(server.port) ?? []
  const line = byRun
    ? [process.execPath, command, 'run', '--', program, ...args]
    : [program, ...args]
  const [first = '', ...rest] = line
  await namespace.run(first, rest, { env, input })
  return server.takeAsked()
}

for (const stores of ['none', 'system'] as const)
  describe.skipIf(obstacle !== null)(
    `with our root in ${stores === 'none' ? 'no store' : 'the stores of the system and of Java only'}${obstacle ? ` [skipped: ${obstacle}]` : ''}`,
    () => {
      let world: World
      beforeAll(async () => {
        world = await openWorld(stores)
      })
      afterAll(async () => {
        world.ours.close()
        world.others.close()
        await world.namespace.close()
      })
      for (const runtime of runtimes) {
        const { name, missing, store, run, storeByRun } = runtime
        test.skipIf(missing !== null)(
          `${name}${missing ? ` [skipped: ${missing}]` : ''}`,
          async () => {
            const isStored = stores === 'system'
            expect({
              ours: await accepts(world, runtime, world.ours, false),
              others: await accepts(world, runtime, world.others, false),
              oursByRun: await accepts(world, runtime, world.ours, true),
              othersByRun: await accepts(world, runtime, world.others, true),
            }).toEqual({
              ours: isStored && store,
              others: store,
              oursByRun: run || (isStored && store),
              othersByRun: storeByRun,
            })
          },
        )
      }
    },
  )
