import { statSync } from 'node:fs'
import { chmod, mkdir, rename, writeFile } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { beforeEach, expect, onTestFinished, test } from 'vitest'
import { RootlingError } from '../../src/errors.ts'
import type { AdminHandler } from '../../src/replica/admin-requests.ts'
import { askAdmin, openAdminSocket } from '../../src/replica/admin-socket.ts'
import { temporaryDirectory } from '../helpers/temporary.ts'

let path: string
beforeEach(async () => {
  path = join(await temporaryDirectory(), 'below', 'admin.sock')
})

const handler: AdminHandler = (method, parameters) => {
  if (method === 'refuse') throw new RootlingError('usage', 'Not so.', { hint: 'so' })
  if (method === 'fail') throw new Error('secret')
  return Promise.resolve({ method, parameters })
}

async function open(onError: (error: unknown) => void = () => undefined) {
  const socket = await openAdminSocket(path, handler, onError)
  onTestFinished(() => socket.close())
  return socket
}

test('only its user can open it, and gets what the handler returns', async () => {
  await open()
  expect(statSync(path).mode & 0o777).toBe(0o600)
  expect(statSync(join(path, '..')).mode & 0o777).toBe(0o700)
  expect(await askAdmin(path, 'a', { b: ['c'] })).toEqual({
    method: 'a',
    parameters: { b: ['c'] },
  })
})

test('an error of ours is told with its hint, and any other one only to the log', async () => {
  const errors: unknown[] = []
  await open((error) => errors.push(error))
  await expect(askAdmin(path, 'refuse')).rejects.toMatchObject({ code: 'usage', hint: 'so' })
  await expect(askAdmin(path, 'fail')).rejects.toMatchObject({
    code: 'internal',
    message: expect.not.stringContaining('secret'),
  })
  expect(errors.map(String)).toEqual(['Error: secret'])
  expect(await askAdmin(path, 'a')).toMatchObject({ method: 'a' })
})

test.each([
  ['GET', 'GET /a HTTP/1.1\r\nHost: a\r\n\r\n', 'Use POST'],
  ['an array', 'POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n[]', 'not a JSON object'],
  [
    'too much',
    `POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 70000\r\n\r\n${' '.repeat(70_000)}`,
    '64 KiB',
  ],
])('%s is refused', async (_, sent, said) => {
  await open()
  const answer = await new Promise<string>((resolve) => {
    let text = ''
    const socket = connect(path, () => socket.write(sent))
    socket.on('data', (chunk) => (text += String(chunk)))
    socket.on('error', () => resolve(text)).on('close', () => resolve(text))
  })
  expect(answer).toContain(said)
})

test('a client that goes away in the middle of its request changes nothing', async () => {
  const failed = new Promise((resolve) => void open(resolve))
  await expect.poll(() => statSync(path, { throwIfNoEntry: false })).toBeDefined()
  const socket = connect(path, () => {
    socket.write('POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{')
    setTimeout(() => socket.destroy(), 50)
  })
  await failed
  expect(await askAdmin(path, 'a')).toMatchObject({ method: 'a' })
})

test('of servers that start at once where a socket was left, one listens', async () => {
  await mkdir(join(path, '..'), { mode: 0o700 })
  for (let round = 0; round < 20; round++) {
    const left = createServer()
    await new Promise<void>((resolve) => left.listen(path, resolve))
    // As a kill leaves it: closing would delete the socket.
    await rename(path, `${path}.kept`)
    await new Promise((resolve) => left.close(resolve))
    await rename(`${path}.kept`, path)
    const started = await Promise.allSettled(
      [1, 2, 3].map((n) =>
        openAdminSocket(
          path,
          () => Promise.resolve(n),
          () => undefined,
        ),
      ),
    )
    const [opened] = started.flatMap((one) => (one.status === 'fulfilled' ? one.value : []))
    const refused = started.flatMap((one) => (one.status === 'rejected' ? one.reason : []))
    expect(refused).toHaveLength(2)
    for (const error of refused)
      expect(error).toMatchObject({
        code: 'port-in-use',
        message: expect.stringContaining('A server listens at'),
      })
    expect(await askAdmin(path, 'a')).toBe(
      started.findIndex(({ status }) => status === 'fulfilled') + 1,
    )
    await opened?.close()
  }
})

test('a directory in which others can write is refused', async () => {
  const directory = join(path, '..')
  await mkdir(directory)
  await chmod(directory, 0o777)
  await expect(open()).rejects.toMatchObject({
    code: 'loose-key',
    message: expect.stringContaining('the directory of the socket'),
  })
})

test('a socket whose server ended is taken by the next one', async () => {
  const first = await openAdminSocket(path, handler, () => undefined)
  await first.close()
  await open()
  expect(await askAdmin(path, 'a')).toMatchObject({ method: 'a' })
})

test('what is there is left, but for a socket on which nobody listens', async () => {
  await open()
  await expect(openAdminSocket(path, handler, () => undefined)).rejects.toMatchObject({
    code: 'port-in-use',
  })
  const file = `${path}.txt`
  await writeFile(file, '')
  await expect(openAdminSocket(file, handler, () => undefined)).rejects.toMatchObject({
    code: 'not-ours',
  })
  await expect(askAdmin(`${path}.none`, 'a')).rejects.toMatchObject({ code: 'connect-failed' })
})
