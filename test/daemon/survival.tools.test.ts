import { existsSync, writeFileSync } from 'node:fs'
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { askDaemon } from '../../src/daemon/control-client.ts'
import { isProof } from '../../src/daemon/control-protocol.ts'
import { startControlServer } from '../../src/daemon/control-server.ts'
import { command } from '../helpers/built.ts'
import { scrubbedEnvironment } from '../helpers/scrubbed.ts'
import { killGroup, start, waitFor } from '../helpers/subprocess.ts'
import { temporaryDirectory } from '../helpers/temporary.ts'
import { isAlive, noPorts, openDaemonHome } from './daemon-home.ts'

// 64 letters, as many as a proof has, in 128 octets.
const wideProof = 'é'.repeat(64)

test.each([wideProof, '', 'a', 'a'.repeat(63), `${'a'.repeat(63)}é`, '\ud800'.repeat(64)])(
  'the proof %j is compared with one of another length, and is none',
  (value) => {
    expect(isProof(value, 'a'.repeat(64))).toBe(false)
  },
)

test('a proof is the very same text', () => {
  expect(isProof('a'.repeat(64), 'a'.repeat(64))).toBe(true)
  expect(isProof('b'.repeat(64), 'a'.repeat(64))).toBe(false)
})

/** Sends lines to a socket and waits until the other side closes it. */
async function send(address: string, ...lines: readonly string[]): Promise<void> {
  const socket = connect(address)
  socket.on('error', () => undefined)
  socket.resume()
  for (const line of lines) socket.write(`${line}\n`)
  await once(socket, 'close')
}

test('a daemon lives on after one line with a proof of wide letters', async () => {
  const home = await openDaemonHome()
  await home.daemon(['start', ...noPorts])
  const { address, pid } = home.runFile()
  await send(address, JSON.stringify({ nonce: 'x', proof: wideProof }))
  expect(isAlive(pid)).toBe(true)
  expect(await home.status()).toMatchObject({ exitCode: 0, pid })
})

test('a listener that is not the daemon, with such a proof, is named as a stranger', async () => {
  const directory = await temporaryDirectory()
  const address = join(directory, 'false.sock')
  const server = createServer((socket) => {
    socket.on('error', () => undefined)
    socket.write(`${JSON.stringify({ version: 1, challenge: 'x' })}\n`)
    socket.once('data', () => socket.write(`${JSON.stringify({ proof: wideProof })}\n`))
  })
  onTestFinished(() => void server.close())
  await new Promise<void>((resolve) => server.listen(address, resolve))
  const run = { address, token: '5a'.repeat(32), pid: 1, since: '', revocationUrl: null }
  writeFileSync(join(directory, 'daemon-run.json'), JSON.stringify(run), { mode: 0o600 })
  await expect(askDaemon({ path: directory, owner: null }, 'status')).rejects.toMatchObject({
    code: 'connect-failed',
    message: expect.stringContaining('not the daemon'),
  })
})

describe('where our own code throws at a connection’s input', () => {
  test('that connection is closed, the error is told, and the next one is served', async () => {
    const address = join(await temporaryDirectory(), 'control.sock')
    const errors: unknown[] = []
    // A token that is no string: the proof of each connection throws.
    const server = await startControlServer({
      address,
      token: undefined as unknown as string,
      handle: async () => ({}),
      onError: (error) => errors.push(error),
    })
    onTestFinished(() => server.close())
    await send(address, '{"nonce":"x","proof":"y"}')
    await send(address, '{"nonce":"x","proof":"y"}')
    expect(errors).toHaveLength(2)
    expect(errors[0]).toBeInstanceOf(TypeError)
  })
})

test('a daemon that crashes says so in its log, and leaves no socket and no run file', async () => {
  const home = await openDaemonHome()
  const planted = join(home.directory, 'planted.cjs')
  writeFileSync(
    planted,
    "process.on('SIGUSR2', () => setImmediate(() => { throw new Error('a planted fault') }))\n",
  )
  const env = scrubbedEnvironment(home.directory, { ROOTLING_HOME: home.state })
  const args = ['--require', planted, command, 'daemon', 'run', ...noPorts]
  const program = start(process.execPath, args, env)
  onTestFinished(() => killGroup(program))
  let said = ''
  program.stderr.setEncoding('utf8').on('data', (text: string) => (said += text))
  program.stdout.resume()
  await waitFor('the daemon', () => (said.includes('started, pid') ? true : null))
  const { address } = home.runFile()
  const ended = once(program, 'exit')
  program.kill('SIGUSR2')
  const [code] = (await ended) as [number | null]
  expect(code).toBe(1)
  expect(home.log()).toContain('crashed: Error: a planted fault')
  expect(existsSync(address)).toBe(false)
  expect(existsSync(join(home.state, 'daemon-run.json'))).toBe(false)
  // The next one starts, as after an orderly end.
  expect((await home.daemon(['start', ...noPorts])).exitCode).toBe(0)
})
