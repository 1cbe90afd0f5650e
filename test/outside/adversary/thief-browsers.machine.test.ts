import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { everyClient, visit } from '../e2e/clients.ts'
import { rootlingIn } from '../../helpers/rootling.ts'
import { long } from '../../helpers/long.ts'
import { startHttpsServer, type TestServer } from '../../helpers/https-server.ts'
import { namespaceUnavailable, openNamespace, type Namespace } from '../../helpers/namespace.ts'
import { ensureAuthority } from '../../../src/authority/create.ts'
import { versionOf } from '../interop/verifiers.ts'
import { forge, type Forgery } from './forgeries.ts'
import { recordColumns, writesLab, type LabColumn } from './security-lab.ts'

// The same forgeries, shown to real browsers that trust the root as `rootling install` left it.

const obstacle = namespaceUnavailable()
const skipNote = obstacle === null ? '' : ` [skipped: ${obstacle}]`
const rows = obstacle === null ? await everyClient() : []
const browsers = rows.filter(({ client }) => /^chromium|^firefox \(new/.test(client.name))

describe.skipIf(obstacle !== null)(`a thief’s server${skipNote}`, () => {
  let namespace: Namespace
  let directory: string
  const columns: LabColumn[] = []
  let shown: { forgery: Forgery; server: TestServer }[] = []

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'rootling-thief-'))
    namespace = await openNamespace()
    const state = { path: join(directory, 'state'), owner: null }
    const now = new Date()
    const { scope } = await ensureAuthority(state, now)
    const env = { ROOTLING_HOME: state.path }
    const { exitCode, answer } = await rootlingIn(namespace).json(['install', '--yes'], { env })
    if (exitCode !== 0) throw new Error(`the install failed: ${JSON.stringify(answer)}`)
    // No address outside is this machine's, so those are for the clients of thief.tools.test.ts.
    const hosts = (await forge(state, scope, now)).filter(
      ({ use, identifier: { type }, asked, shape }) =>
        use === 'server' &&
        type === 'dns' &&
        asked !== '' &&
        (long || shape.short || shape.family === 'DNS names'),
    )
    for (const name of new Set(hosts.map(({ asked }) => asked)))
      await namespace.addHost(name, '127.0.0.1')
    shown = await Promise.all(
      hosts.map(async (forgery) => {
        const { leaf, intermediate, key } = forgery
        const server = await startHttpsServer({ cert: leaf + intermediate, key }, 'stolen')
        return { forgery, server }
      }),
    )
  })
  afterAll(async () => {
    for (const { server } of shown) await server.close()
    await namespace?.close()
    await rm(directory, { recursive: true, force: true })
    if (writesLab) await recordColumns(columns)
  })

  for (const { client, unavailable, title } of browsers)
    test.skipIf(unavailable !== null)(
      `${title} refuses every form of a host that a stolen key signs outside`,
      async () => {
        const urls = shown.map(({ forgery, server }) => `https://${forgery.asked}:${server.port}/`)
        const verdicts = await visit(client, namespace, urls)
        const titles = shown.map(({ forgery }) => forgery.title)
        const accepted = titles.filter((_, i) => verdicts[i]?.trusted)
        const controls = titles.filter((each) => each.startsWith('controls: '))
        expect(accepted).toEqual(controls)
        expect(controls.length).toBeGreaterThan(0)
        expect(verdicts.length).toBeGreaterThan(20)
        const [name = ''] = client.name.split(' ')
        const version = await versionOf('dpkg-query', [
          '-W',
          name.replace('firefox', 'firefox-esr'),
        ])
        const verdictOf = new Map(titles.map((each) => [each, accepted.includes(each)]))
        columns.push({ name, version, verdicts: verdictOf })
      },
    )
})
