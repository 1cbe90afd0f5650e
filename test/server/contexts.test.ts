import { X509Certificate } from 'node:crypto'
import { connect, createSecureContext } from 'node:tls'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { onDemandIssuer } from '../../src/certificates/on-demand.ts'
import { ensureAuthority } from '../../src/authority/create.ts'
import { createContexts, type ContextsOptions } from '../../src/server/contexts.ts'
import { createHttpsServer } from '../../src/server/https.ts'
import { createClientGate } from '../../src/server/mutual-tls.ts'
import { readScopes } from '../../src/authority/scope.ts'
import { readRecord } from '../../src/storage/files/record.ts'

const hour = 3_600_000

/** A server for `localhost` that issues for what else it is asked for, over a clock that the test moves. */
async function start(options: Partial<ContextsOptions> & { clients?: boolean } = {}) {
  const path = await mkdtemp(join(tmpdir(), 'rootling-contexts-'))
  onTestFinished(() => rm(path, { recursive: true, force: true }))
  const state = { path, owner: null }
  await ensureAuthority(state, new Date())
  const [scope] = await readScopes(state)
  const root = scope?.root.toString() ?? ''
  const world = { now: new Date(), full: false }
  const issueNamed = onDemandIssuer(state, () => world.now, 1)
  const issueFor = async (name: string, brief = false) => {
    if (world.full) throw new Error('the disk is full')
    return issueNamed(name, brief)
  }
  const refused: string[] = []
  const server = await createHttpsServer({
    pair: await issueFor('localhost'),
    port: 0,
    handler: (_request, response) => void response.end('hello\n'),
    contexts: createContexts({
      issue: issueFor,
      covers: (name) => name === 'localhost',
      now: () => world.now,
      onRefused: (name, error) => void refused.push(`${name}: ${(error as Error).message}`),
      ...options,
    }),
    clients: options.clients === true ? createClientGate({ ca: [root] }) : undefined,
  })
  onTestFinished(() => server.close({ drainMilliseconds: 0 }))

  /** The names and the serial number that a client is shown who asks for `servername`. */
  function shown(servername: string, checked = true) {
    return new Promise<{ names: string; serialNumber: string }>((resolve, reject) => {
      const socket = connect({
        port: server.port,
        host: '127.0.0.1',
        servername,
        ca: root,
        rejectUnauthorized: checked,
      })
      socket.once('error', reject)
      socket.once('secureConnect', () => {
        const certificate = socket.getPeerX509Certificate()
        socket.destroy()
        const { subjectAltName: names = '', serialNumber = '' } = certificate ?? {}
        resolve({ names, serialNumber })
      })
    })
  }
  return { state, world, refused, shown, root, server }
}

test('a name gets its certificate when it is first asked for, and keeps it', async () => {
  const { shown, state } = await start()
  const first = await shown('app.localhost')
  expect(first.names).toBe('DNS:app.localhost')
  expect(await shown('APP.localhost')).toEqual(first)
  expect((await shown('shop.test')).names).toBe('DNS:shop.test')
  const names = (await readRecord(state)).map(({ identifiers }) => identifiers[0]?.value)
  expect(names).toEqual(['localhost', 'app.localhost', 'shop.test'])
})

test('what the server’s own certificate speaks for is not issued again', async () => {
  const { shown, state } = await start()
  expect((await shown('localhost')).names).toBe('DNS:localhost')
  expect(await readRecord(state)).toHaveLength(1)
})

test('a name outside the constraints is refused by the client, and told of', async () => {
  const { shown, refused, state } = await start()
  await expect(shown('bank.com')).rejects.toMatchObject({ code: 'ERR_TLS_CERT_ALTNAME_INVALID' })
  expect((await shown('bank.com', false)).names).toBe('DNS:localhost')
  expect(refused[0]).toBe(
    'bank.com: bank.com is outside the names that this authority may sign; browsers would refuse it.',
  )
  expect(await readRecord(state)).toHaveLength(1)
})

test('what is no host name is neither issued for nor repeated', async () => {
  const { shown, refused, state } = await start()
  for (const name of ['*.app.test', 'a\nb.test', 'x'.repeat(200)])
    expect((await shown(name, false)).names).toBe('DNS:localhost')
  expect([refused, await readRecord(state)]).toEqual([[], [expect.anything()]])
})

test('64 clients that ask for 64 new names at once are all answered', async () => {
  const { shown, state } = await start()
  const names = Array.from({ length: 64 }, (_, i) => `n${i}.localhost`)
  const answers = await Promise.all(names.map((name) => shown(name)))
  expect(answers.map((answer) => answer.names)).toEqual(names.map((name) => `DNS:${name}`))
  expect(await readRecord(state)).toHaveLength(65)
})

test('64 clients that ask for one new name at once share one certificate', async () => {
  const { shown, state } = await start()
  const answers = await Promise.all(Array.from({ length: 64 }, () => shown('app.test')))
  expect(new Set(answers.map(({ serialNumber }) => serialNumber)).size).toBe(1)
  expect(await readRecord(state)).toHaveLength(2)
})

test('a certificate is renewed at the first handshake after two thirds of its life', async () => {
  const { shown, world } = await start()
  const first = await shown('app.test', false)
  world.now = new Date(world.now.getTime() + 14 * hour)
  expect(await shown('app.test', false)).toEqual(first)
  world.now = new Date(world.now.getTime() + 3 * hour)
  expect((await shown('app.test', false)).serialNumber).not.toBe(first.serialNumber)
})

test('one that cannot be renewed serves until its end', async () => {
  const { shown, world, refused } = await start()
  const { serialNumber } = await shown('app.test', false)
  world.full = true
  world.now = new Date(world.now.getTime() + 20 * hour)
  expect((await shown('app.test', false)).serialNumber).toBe(serialNumber)
  world.now = new Date(world.now.getTime() + 20 * hour)
  expect((await shown('app.test', false)).names).toBe('DNS:localhost')
  expect(refused).toEqual(['app.test: the disk is full'])
})

test('the names that are kept, and the lines of the record in an hour, are bounded', async () => {
  const { shown, state, world, refused } = await start({ most: 2, mostAnHour: 4 })
  for (const name of ['a.test', 'b.test', 'a.test', 'c.test', 'a.test']) await shown(name)
  expect(await readRecord(state)).toHaveLength(4)
  await shown('b.test')
  expect(await readRecord(state)).toHaveLength(5)
  // Further names get certificates that end soon and leave no line.
  const brief = await shown('d.test')
  expect(brief.names).toBe('DNS:d.test')
  expect(await shown('d.test')).toEqual(brief)
  expect([await readRecord(state), refused]).toEqual([Array(5).fill(expect.anything()), []])
  world.now = new Date(world.now.getTime() + 2 * hour)
  expect((await shown('d.test', false)).serialNumber).not.toBe(brief.serialNumber)
  const record = await readRecord(state)
  expect(record.map(({ identifiers }) => identifiers[0]?.value).at(-1)).toBe('d.test')
})

test('names without a certificate leave the number of an hour to others', async () => {
  const { shown, state, refused } = await start({ mostAnHour: 1 })
  for (const name of ['bank.com', 'bank.org']) await shown(name, false)
  expect((await shown('app.test')).names).toBe('DNS:app.test')
  expect([refused.length, (await readRecord(state)).length]).toEqual([2, 2])
})

test('the names that wait are bounded, also where clients go away', async () => {
  const refused: [string, unknown][] = []
  const pair = {
    cert: '',
    key: '',
    serialNumber: '01',
    notBefore: new Date(),
    notAfter: new Date(),
  }
  let finish = (): void => undefined
  const waiting = new Promise<typeof pair>((resolve) => {
    finish = () => resolve(pair)
  })
  const contexts = createContexts({
    issue: () => waiting,
    covers: () => false,
    now: () => new Date(),
    onRefused: (name, error) => void refused.push([name, error]),
    most: 2,
  })
  const context = createSecureContext()
  const callback = contexts.select(() => context)
  const ask = (name: string) =>
    new Promise((resolve) => callback(name, (error, found) => resolve(error ?? found)))
  const answers = ['a.test', 'b.test', 'a.test', 'c.test'].map(ask)
  expect(await answers[3]).toBeUndefined()
  expect(refused).toMatchObject([
    [
      'c.test',
      { code: 'locked', message: 'c.test gets no certificate now, since 2 names wait for one.' },
    ],
  ])
  finish()
  expect(await Promise.all(answers)).toEqual([context, context, context, undefined])
  expect(await ask('d.test')).toBe(context)
})

/** Contexts whose certificates are issued when the test says so, and connections that ask for them. */
function openQueue(options: Partial<ContextsOptions> = {}) {
  const issued: string[] = []
  const refused: string[] = []
  const releases: (() => void)[] = []
  const now = new Date()
  const contexts = createContexts({
    issue: async (name, brief) => {
      issued.push(brief ? `${name} briefly` : name)
      await new Promise<void>((resolve) => releases.push(resolve))
      const notAfter = new Date(+now + 24 * hour)
      return { cert: '', key: '', serialNumber: '01', notBefore: now, notAfter }
    },
    covers: () => false,
    now: () => now,
    onRefused: (_name, error) => void refused.push((error as Error).message),
    ...options,
  })
  const context = createSecureContext()
  const callback = contexts.select(() => context)
  const connection = (remoteAddress: string) => ({ remoteAddress, destroyed: false })
  const ask = (name: string, socket: object) =>
    new Promise((resolve) => callback.call(socket, name, (error, found) => resolve(error ?? found)))
  /** Lets all that waits be issued, one after the other. */
  async function finish(): Promise<void> {
    for (let idle = 0; idle < 20; idle++) {
      const release = releases.shift()
      if (release !== undefined) idle = 0
      release?.()
      await Promise.resolve()
    }
  }
  return { issued, refused, connection, context, ask, finish }
}

test('addresses take turns, so that one which asks for many names locks no other out', async () => {
  const { ask, connection, issued, refused, finish, context } = openQueue({ most: 3 })
  const flood = ['a', 'b', 'c', 'd', 'e'].map((name) =>
    ask(`${name}.test`, connection('127.0.0.1')),
  )
  const other = ask('mine.test', connection('::1'))
  expect(await flood[3]).toBeUndefined()
  expect(await flood[4]).toBeUndefined()
  await finish()
  expect(await other).toBe(context)
  expect(issued).toEqual(['a.test', 'b.test', 'mine.test', 'c.test'])
  expect(refused).toEqual(
    ['d', 'e'].map(
      (name) =>
        `${name}.test gets no certificate now, since 3 names wait for one that 127.0.0.1 asked for.`,
    ),
  )
})

test('a name that is expected goes first, and counts in no limit', async () => {
  const isExpected = (name: string) => name.endsWith('.localhost')
  const { ask, connection, issued, refused, finish } = openQueue({
    most: 2,
    mostAnHour: 1,
    isExpected,
  })
  const here = () => connection('127.0.0.1')
  const names = ['a.test', 'b.test', 'shop.localhost', 'api.localhost']
  const all = names.map((name) => ask(name, here()))
  await finish()
  await Promise.all(all)
  expect(issued).toEqual(['a.test', 'shop.localhost', 'api.localhost', 'b.test briefly'])
  expect(refused).toEqual([])
  // Two are kept, and a stranger's name does not displace them.
  for (const name of ['shop.localhost', 'api.localhost']) await ask(name, here())
  expect(issued).toHaveLength(4)
})

test('nothing is issued for a client that is gone, and its place is free', async () => {
  const { ask, connection, issued, refused, finish, context } = openQueue({ most: 2 })
  const [running, gone] = [connection('127.0.0.1'), connection('127.0.0.1')]
  const answers = [ask('a.test', running), ask('b.test', gone)]
  gone.destroyed = true
  const third = ask('c.test', connection('127.0.0.1'))
  expect(await answers[1]).toBeUndefined()
  await finish()
  expect(await Promise.all([answers[0], third])).toEqual([context, context])
  expect([issued, refused]).toEqual([['a.test', 'c.test'], []])
})

test('a connection gets the certificate of one name', async () => {
  const { ask, connection, issued, refused, finish, context } = openQueue()
  const socket = connection('127.0.0.1')
  const first = ask('a.test', socket)
  await finish()
  expect(await first).toBe(context)
  expect(await ask('a.test', socket)).toBe(context)
  expect(await ask('b.test', socket)).toBeUndefined()
  expect(issued).toEqual(['a.test'])
  expect(refused).toEqual(['b.test gets no certificate on a connection for a.test.'])
})

test('the certificates of an hour are counted for each address', async () => {
  const { ask, connection, issued, finish } = openQueue({ mostAnHour: 1 })
  for (const [name, address] of [
    ['a.test', '192.0.2.1'],
    ['b.test', '192.0.2.1'],
    ['c.test', '192.0.2.2'],
  ] as const) {
    const answer = ask(name, connection(address))
    await finish()
    await answer
  }
  expect(issued).toEqual(['a.test', 'b.test briefly', 'c.test'])
})

test('a revoked certificate is replaced at the next handshake', async () => {
  const revoked = new Set<string>()
  const { shown, state } = await start({ isRevoked: async (serial) => revoked.has(serial) })
  const first = await shown('app.test')
  const [, recorded] = await readRecord(state)
  expect(await shown('app.test')).toEqual(first)
  revoked.add(recorded?.serialNumber ?? '')
  expect((await shown('app.test')).serialNumber).not.toBe(first.serialNumber)
})

test('a certificate beyond those of an hour lasts an hour and names no revocation URL', async () => {
  const { state, world } = await start()
  const { cert, notBefore, notAfter } = await onDemandIssuer(state, () => world.now)('a.test', true)
  expect([+world.now - +notBefore, +notAfter - +world.now].map((each) => each / hour)).toEqual([
    expect.closeTo(1),
    expect.closeTo(1),
  ])
  expect(new X509Certificate(cert).infoAccess).toBeUndefined()
  expect(await readRecord(state)).toHaveLength(1)
})

test('a page that asks for names without end drops only names that were asked for once', async () => {
  const { shown, state } = await start({ most: 3, mostAnHour: 3 })
  const mine = await shown('mine.test')
  expect(await shown('mine.test')).toEqual(mine)
  for (let i = 0; i < 8; i++) await shown(`random${i}.test`)
  expect(await shown('mine.test')).toEqual(mine)
  expect((await shown('new.test')).names).toBe('DNS:new.test')
  expect(await readRecord(state)).toHaveLength(4)
})

test('under every name clients must show a certificate, with --mtls', async () => {
  const { server, root } = await start({ clients: true })
  for (const servername of ['localhost', 'app.test']) {
    const ended = new Promise<string>((resolve) => {
      const socket = connect({ port: server.port, host: '127.0.0.1', servername, ca: root })
      socket.once('error', (error) => resolve(error.message))
      socket.once('close', () => resolve('closed'))
      socket.resume()
    })
    expect(await ended).toContain('certificate required')
  }
})
