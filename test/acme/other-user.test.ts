import { describe, expect, onTestFinished, test } from 'vitest'
import { whoNeedsBinding } from '../../src/acme/external-account.ts'
import { resolveOptions } from '../../src/acme/options.ts'
import { linuxSockets } from '../../src/server/linux-sockets.ts'
import { createSocketOwners } from '../../src/server/socket-owner.ts'
import { createValidator } from '../../src/acme/validation/validator.ts'
import { startAlpnServer } from './alpn-server.ts'
import { startResponder } from './responder.ts'

const isLinux = process.platform === 'linux'
const me = process.getuid?.() ?? 0
const identifier = { type: 'dns', value: 'a.localhost' } as const
const foreign = { type: 'urn:ietf:params:acme:error:unauthorized' }

describe.skipIf(!isLinux)(
  'a server of another user (skipped where the system tells no users)',
  () => {
    test.each(['http-01', 'tls-alpn-01'] as const)(
      'meets no challenge by %s, unless the account is bound',
      async (type) => {
        const keyAuthorization = 'token.thumbprint'
        const web = await startResponder((_, response) => void response.end(keyAuthorization))
        onTestFinished(() => web.close())
        const alpn = await startAlpnServer()
        onTestFinished(() => alpn.close())
        alpn.shows = { names: [identifier], keyAuthorization }
        const options = resolveOptions({ http01Port: web.port, tlsAlpn01Port: alpn.port })
        const ask = (owners: readonly number[], bound: boolean) => {
          const validator = createValidator(options, createSocketOwners(linuxSockets, owners))
          onTestFinished(() => validator.close())
          const challenge = { type, token: 'token' }
          return validator.validate('id', {
            challenge,
            identifier,
            thumbprint: 'thumbprint',
            bound,
          })
        }
        await expect(ask([me], false)).resolves.toBeUndefined()
        await expect(ask([me + 1], true)).resolves.toBeUndefined()
        await expect(ask([me + 1], false)).rejects.toMatchObject({
          document: { ...foreign, detail: expect.stringContaining('another user of this machine') },
        })
      },
    )
  },
)

test('an account of another machine has to be bound, wherever the server listens', async () => {
  const context = {
    options: resolveOptions({}),
    owners: null,
    eabCommand: 'rootling acme eab create',
  }
  const needs = (remoteAddress: string) =>
    whoNeedsBinding(context, {}, { remoteAddress })
  await expect(needs('127.0.0.1')).resolves.toBeNull()
  await expect(needs('192.0.2.7')).resolves.toBe(' from another machine')
})
