import { once } from 'node:events'
import type { AddressInfo, LookupFunction } from 'node:net'
import { connect, createServer } from 'node:tls'
import { expect, onTestFinished, test } from 'vitest'
import { ensureAuthority, permitScope } from '../../../src/authority/create.ts'
import { openSigner } from '../../../src/authority/signer.ts'
import { issue } from '../../../src/certificates/issue.ts'
import { randomSerialNumber } from '../../../src/x509/certificate.ts'
import { parseIdentifier } from '../../../src/x509/identifier.ts'
import { generateKeys, keyTypes } from '../../../src/x509/keys.ts'
import { encodePem } from '../../../src/x509/pem.ts'
import { day, leafValidity, signServerLeaf } from '../../../src/x509/profiles.ts'
import { temporaryState } from '../../helpers/temporary.ts'
import { keysOf } from '../../../src/storage/files/keys.ts'

interface Server {
  /** Connects as a client that trusts `ca` alone; `authorized`, or the reason against it. */
  ask(host: string, ca: string): Promise<string>
}

async function serve(chain: string, key: string | null): Promise<Server> {
  const server = createServer({ cert: chain, key: key ?? '' }, (socket) => socket.end('hello'))
  server.on('tlsClientError', () => {})
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  const { port } = server.address() as AddressInfo
  const ask = (host: string, ca: string): Promise<string> =>
    new Promise((resolve) => {
      // An address is verified through `host`, since SNI carries names only.
      const name = /^[\d.]+$|:/.test(host) ? {} : { servername: host }
      const socket = connect({ port, host, ca, lookup: toLoopback, ...name })
      socket.on('secureConnect', () => {
        resolve('authorized')
        socket.destroy()
      })
      socket.on('error', (error: NodeJS.ErrnoException) =>
        resolve(`${error.code} ${error.message}`),
      )
    })
  return { ask }
}

const toLoopback: LookupFunction = (_name, options, done) => {
  const row = { address: '127.0.0.1', family: 4 }
  if (options.all === true) done(null, [row])
  else done(null, row.address, row.family)
}

test.each(keyTypes)('Node shakes hands with what was issued for a %s key', async (keyType) => {
  const now = new Date()
  const [state, otherState] = [await temporaryState(), await temporaryState()]
  const { scope } = await ensureAuthority(state, now)
  const other = await ensureAuthority(otherState, now)
  const names = ['*.app.localhost', '127.0.0.1']
  const { chain, key } = await issue(state, { names, keyType, files: null }, now)
  const server = await serve(chain, key)
  expect(await server.ask('a.app.localhost', scope.root.toString())).toBe('authorized')
  expect(await server.ask('127.0.0.1', scope.root.toString())).toBe('authorized')
  expect(await server.ask('b.localhost', scope.root.toString())).toMatch(
    'ERR_TLS_CERT_ALTNAME_INVALID',
  )
  const wrong = await server.ask('a.app.localhost', other.scope.root.toString())
  expect(wrong).toMatch(/SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_(GET|VERIFY)/)
})

test('Node refuses a certificate that has ended', async () => {
  const now = new Date()
  const past = new Date(now.getTime() - 100 * day)
  const state = await temporaryState()
  const { scope } = await ensureAuthority(state, past)
  const ended = await issue(state, { names: ['localhost'], days: 90, files: null }, past)
  const server = await serve(ended.chain, ended.key)
  expect(await server.ask('localhost', scope.root.toString())).toMatch('CERT_HAS_EXPIRED')
})

test('Node refuses a chain whose intermediate the server left out', async () => {
  const now = new Date()
  const state = await temporaryState()
  const { scope } = await ensureAuthority(state, now)
  const { chain, key } = await issue(state, { names: ['localhost'], files: null }, now)
  const leaf = chain.slice(0, chain.indexOf('-----BEGIN', 10))
  const server = await serve(leaf, key)
  expect(await server.ask('localhost', scope.root.toString())).toMatch(
    'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  )
})

test('Node refuses what a stolen key signs for a bank, unless the scope may sign all', async () => {
  const now = new Date()
  const state = await temporaryState()
  const { scope: local } = await ensureAuthority(state, now)
  const { scope: free } = await permitScope(state, { permit: [], unconstrained: true }, now)
  const answers: string[] = []
  for (const scope of [local, free]) {
    const signer = await openSigner(keysOf(state), scope, now)
    const { spki, pkcs8 } = await generateKeys('p256')
    const validity = leafValidity(now, 90, new Date(scope.intermediate.validTo))
    const identifiers = [parseIdentifier('bank.com')]
    const serialNumber = randomSerialNumber()
    const leaf = await signServerLeaf(
      { serialNumber, spki, rsa: false, identifiers, ...validity },
      signer,
    )
    const chain = encodePem('CERTIFICATE', leaf) + scope.intermediate.toString()
    const server = await serve(chain, encodePem('PRIVATE KEY', pkcs8))
    answers.push(await server.ask('bank.com', scope.root.toString()))
  }
  expect(answers[0]).toMatch('permitted subtree violation')
  expect(answers[1]).toBe('authorized')
})
