import { expect, onTestFinished, test } from 'vitest'
import { release } from '../../../src/certificates/revoke.ts'
import { visit } from '../../outside/e2e/client.ts'
import { firefoxClient } from '../../outside/e2e/client-firefox.ts'
import { startHttpsServer } from '../../helpers/https-server.ts'
import { namespaceUnavailable } from '../../helpers/namespace.ts'
import { testNamespace } from '../../helpers/test-namespace.ts'
import { startResponder } from './responder.ts'
import { contentsOf, makeWorld } from '../../helpers/authority.ts'
import { fileStorage } from '../../../src/storage/files/storage.ts'

const client = firefoxClient('ocsp')
const obstacle = namespaceUnavailable() ?? (await client.unavailable())
const title = obstacle === null ? '' : ` [skipped: ${obstacle}]`

test.skipIf(obstacle !== null)(
  `Firefox asks the responder, and refuses revoked and silence where it must know${title}`,
  async () => {
    const world = await makeWorld()
    const namespace = await testNamespace()
    const responder = await startResponder(world.state)
    await world.issue('good', responder.url)
    const held = await world.issue('held', responder.url)
    await world.revoke(held, 'certificateHold')
    await world.issue('silent', 'http://127.0.0.1:9')
    const root = '/usr/local/share/ca-certificates/world.crt'
    await namespace.writeFile(root, world.scope.root.toString())
    const locked = (value: unknown) => ({ Value: value, Status: 'locked' })
    const policies = (required: boolean): string =>
      JSON.stringify({
        policies: {
          Certificates: { Install: [root] },
          Preferences: {
            'security.OCSP.enabled': locked(1),
            'security.OCSP.require': locked(required),
          },
        },
      })
    await namespace.writeFile('/etc/firefox/policies/policies.json', policies(true))
    const look = async (name: string) => {
      const [cert, key] = [await contentsOf(world, name), await contentsOf(world, `${name}-key`)]
      const server = await startHttpsServer({ cert, key }, 'hello')
      onTestFinished(() => server.close())
      // A fresh browser each time: it remembers answers for as long as they may be kept.
      return visit(client, namespace, [`https://localhost:${server.port}/`])
    }
    const accepted = [{ trusted: true, body: 'hello' }]
    expect(await look('good')).toEqual(accepted)
    expect(await look('held')).toEqual([{ trusted: false, reason: 'insecure certificate' }])
    // That nobody answers is to Marionette a failure of NSS, not a doubtful certificate.
    await expect(look('silent')).rejects.toThrow(/e=nssFailure2/)
    await release(fileStorage(world.state), { target: held.serialNumber, now: new Date() })
    expect(await look('held')).toEqual(accepted)
    await namespace.writeFile('/etc/firefox/policies/policies.json', policies(false))
    expect(await look('silent')).toEqual(accepted)
  },
)
