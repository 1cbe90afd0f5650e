import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
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
  await rootling.must(['install', '--yes', '--stores', 'system,java', '--ca', 'other'])
  const others = await serve('--ca', 'other')
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
      let world: World | undefined
      beforeAll(async () => {
        world = await openWorld(stores)
      })
      afterAll(async () => {
        world?.ours.close()
        world?.others.close()
        await world?.namespace.close()
      })
      for (const runtime of runtimes) {
        const { name, missing, store, run, storeByRun } = runtime
        test.skipIf(missing !== null)(
          `${name}${missing ? ` [skipped: ${missing}]` : ''}`,
          async () => {
            const opened = world as World
            const isStored = stores === 'system'
            expect({
              ours: await accepts(opened, runtime, opened.ours, false),
              others: await accepts(opened, runtime, opened.others, false),
              oursByRun: await accepts(opened, runtime, opened.ours, true),
              othersByRun: await accepts(opened, runtime, opened.others, true),
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

describe.skipIf(obstacle !== null)('in a machine of its own', () => {
  const open = async () => {
    const namespace = await testNamespace({ ownLoopback: true })
    const rootling = rootlingIn(namespace)
    await rootling.must(['install', '--yes', '--stores', 'none'])
    return { namespace, rootling }
  }

  test('git trusts our names by what env adds, and its other settings stay', async () => {
    const { namespace, rootling } = await open()
    const { close } = await rootling.serve(['--port', '8443', 'localhost'])
    onTestFinished(close)
    const settings = { GIT_CONFIG_COUNT: '1', GIT_CONFIG_KEY_0: 'a.b', GIT_CONFIG_VALUE_0: 'kept' }
    const { stdout } = await rootling.must(['env', '--shell', 'json'], { env: settings })
    const env = { ...settings, ...(JSON.parse(stdout) as Record<string, string>) }
    expect(env).not.toHaveProperty('GIT_SSL_CAINFO')
    expect((await namespace.must('git', ['config', 'a.b'], { env })).stdout).toBe('kept\n')
    const ask = ['ls-remote', 'https://localhost:8443/x.git']
    const alone = await namespace.run('git', ask)
    expect(alone.stderr).toContain('certificate')
    const { stderr } = await namespace.run('git', ask, { env })
    expect(stderr).toMatch(/repository .* not found/)
    // Git passes over an included file that is missing.
    await namespace.must('rm', ['-r', join(namespace.home, '.local/share/rootling/bundles')])
    expect((await namespace.must('git', ['config', 'a.b'], { env })).stdout).toBe('kept\n')
  })

  test('uninstall takes our roots out of the files that replace others, and leaves these', async () => {
    const { namespace, rootling } = await open()
    await rootling.must(['install', '--yes', '--stores', 'system'])
    const { stdout } = await rootling.must(['env', '--replace', '--shell', 'json'])
    const { SSL_CERT_FILE: bundle = '', NODE_EXTRA_CA_CERTS: extra = '' } = JSON.parse(
      stdout,
    ) as Record<string, string>
    const root = (
      await namespace.must('cat', [(await rootling.must(['ca', 'path', 'local'])).stdout.trim()])
    ).stdout
    const system = async () => namespace.readFile('/etc/ssl/certs/ca-certificates.crt')
    const lines = (text: string | null) =>
      text
        ?.split('\n')
        .filter((line) => /^[A-Za-z0-9+/=-]/.test(line))
        .join('\n')
    expect(await namespace.readFile(bundle)).toContain(root.trim())
    await rootling.must(['uninstall', '--yes'])
    expect(await system()).not.toContain(root.trim())
    expect(lines(await namespace.readFile(bundle))).toBe(lines(await system()))
    expect(await namespace.readFile(extra)).not.toContain(root.trim())

    await rootling.must(['run', 'true'])
    expect(await namespace.readFile(bundle)).toContain(root.trim())
    const { answer } = await rootling.json(['uninstall', '--delete-ca', '--yes'])
    expect(answer).toMatchObject({ deleted: true, left: [], bundles: [bundle] })
    expect(lines(await namespace.readFile(bundle))).toBe(lines(await system()))
    expect(await namespace.readFile(extra)).toBe(null)
  })
})
