import { once } from 'node:events'
import { mkdirSync, readFileSync, readdirSync, readlinkSync, writeFileSync } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { dirname, join } from 'node:path'
import { asyncProperty, assert, json, oneof, string, uint8Array } from 'fast-check'
import { expect, onTestFinished, test } from 'vitest'
import { askDaemon } from '../../src/daemon/control-client.ts'
import { longestLine, newNonce, proof } from '../../src/daemon/control-protocol.ts'
import { startControlServer } from '../../src/daemon/control-server.ts'
import { temporaryDirectory } from '../helpers/temporary.ts'
import { freePort } from '../helpers/free-port.ts'
import { waitFor } from '../helpers/subprocess.ts'
import { isAlive, noPorts, openDaemonHome } from './daemon-home.ts'

interface Line {
  readonly [name: string]: unknown
}

/** A raw connection: what comes, line by line, and whether it was closed. */
function dial(address: string) {
  const socket = connect(address)
  const lines: Line[] = []
  const closed = new Promise<'closed'>((resolve) => socket.once('close', () => resolve('closed')))
  let pending = ''
  socket.on('error', () => undefined)
  socket.setEncoding('utf8').on('data', (text: string) => {
    const parts = (pending + text).split('\n')
    pending = parts.pop() ?? ''
    lines.push(...parts.map((line) => JSON.parse(line) as Line))
    socket.emit('lines')
  })
  onTestFinished(() => void socket.destroy())
  const line = async (index: number): Promise<Line> => {
    for (;;) {
      const found = lines[index]
      if (found !== undefined) return found
      await once(socket, 'lines')
    }
  }
  return { socket, lines, line, closed }
}

/** A connection that has proven to know the token. */
async function dialProven(address: string, token: string) {
  const connection = dial(address)
  const { challenge } = await connection.line(0)
  const nonce = newNonce()
  const proven = proof(token, 'client', String(challenge), nonce)
  connection.socket.write(`${JSON.stringify({ nonce, proof: proven })}\n`)
  await connection.line(1)
  return connection
}

async function openServer(proofMilliseconds?: number) {
  const address = join(await temporaryDirectory(), 'control.sock')
  const token = '5a'.repeat(32)
  let asked = 0
  const handle = async () => ({ asked: (asked += 1) })
  const options = { address, token, handle }
  const server = await startControlServer(
    proofMilliseconds === undefined ? options : { ...options, proofMilliseconds },
  )
  onTestFinished(() => server.close())
  return { address, token, asked: () => asked }
}

test('a live daemon survives whatever is sent to it, and grows by nothing', async () => {
  const home = await openDaemonHome()
  await home.daemon(['start', ...noPorts])
  const { address, token, pid } = home.runFile()
  const before = await home.status()
  const large = Buffer.alloc(longestLine - 1, 'x')
  const anything = oneof(uint8Array({ maxLength: 2_000 }), string(), json())
  const send = async (
    connection: Pick<ReturnType<typeof dial>, 'socket' | 'closed'>,
    what: Buffer,
  ) => {
    connection.socket.write(what)
    connection.socket.write('\n')
    expect(await connection.closed).toBe('closed')
  }
  const bytes = asyncProperty(anything, async (what) => {
    await send(dial(address), Buffer.from(what as string))
    await send(await dialProven(address, token), Buffer.from(what as string))
  })
  await assert(bytes, { numRuns: 150 })
  for (let count = 0; count < 50; count += 1) {
    await send(dial(address), large)
    await send(await dialProven(address, token), Buffer.concat([large, large]))
  }
  const after = await home.status()
  expect(after).toMatchObject({ pid, since: before['since'] })
  expect(Number(after['memoryBytes'])).toBeLessThan(Number(before['memoryBytes']) + 40e6)
  expect(home.log().split('\n')).toHaveLength(2)
})

test('a request in pieces of one octet is a request', async () => {
  const { address, token } = await openServer()
  const { socket, line, closed } = await dialProven(address, token)
  for (const octet of '{"version":1,"id":9,"method":"status"}\n') {
    socket.write(octet)
    await new Promise((resolve) => setImmediate(resolve))
  }
  expect(await line(2)).toEqual({ version: 1, id: 9, ok: true, result: { asked: 1 } })
  expect(await closed).toBe('closed')
})

test('a connection is good for one request, so that nobody queues up more', async () => {
  const { address, token, asked } = await openServer()
  const { socket, closed } = await dialProven(address, token)
  const request = '{"version":1,"id":1,"method":"status"}\n'
  socket.write(request.repeat(20_000))
  expect(await closed).toBe('closed')
  expect(asked()).toBe(1)
})

test('of many connections 32 are served, and who proves nothing in time is cut off', async () => {
  const { address, token } = await openServer(1_500)
  const connections = Array.from({ length: 200 }, () => dial(address))
  await waitFor('the surplus to be closed', () =>
    connections.filter(({ socket }) => socket.destroyed).length >= 168 ? true : null,
  )
  expect(connections.filter(({ lines }) => lines.length > 0).length).toBeLessThanOrEqual(32)
  // Slow ones, that send an octet now and then, do not keep their place by that.
  const slow = setInterval(() => connections.forEach(({ socket }) => socket.write('x')), 100)
  onTestFinished(() => clearInterval(slow))
  await Promise.all(connections.map(({ closed }) => closed))
  const { socket, line } = await dialProven(address, token)
  socket.write('{"version":1,"id":1,"method":"status"}\n')
  expect(await line(2)).toMatchObject({ ok: true })
})

test('the daemon listens on nothing but its ports, and takes no control there', async () => {
  const home = await openDaemonHome()
  await home.daemon(['start', ...noPorts])
  expect(portsOf(home.runFile().pid)).toEqual([])
  const [acme, revocation] = [await freePort(), await freePort()]
  await home.daemon(['restart', `--acme-port=${acme}`, `--revocation-port=${revocation}`])
  const { pid, token } = home.runFile()
  expect(new Set(portsOf(pid))).toEqual(new Set([acme, revocation]))
  for (const port of [acme, revocation]) {
    const socket = connect(port, '127.0.0.1')
    socket.on('error', () => undefined)
    let said = ''
    socket.setEncoding('utf8').on('data', (text: string) => (said += text))
    const nonce = newNonce()
    socket.write(`${JSON.stringify({ nonce, proof: proof(token, 'client', '', nonce) })}\n`)
    socket.write('{"version":1,"id":1,"method":"stop"}\n\n')
    // A reset closes it too.
    await new Promise((resolve) => socket.once('close', resolve))
    expect(said).not.toContain('challenge')
    expect(said).not.toContain('proof')
  }
  expect(await home.status()).toMatchObject({ running: true, pid })
})

/** The TCP ports that a process listens on (proc_pid_net(5): state 0A). */
function portsOf(pid: number): number[] {
  const inodes = new Set(
    readdirSync(`/proc/${pid}/fd`).map((fd) => {
      try {
        return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1]
      } catch {
        return undefined
      }
    }),
  )
  return ['tcp', 'tcp6']
    .flatMap((table) =>
      readFileSync(`/proc/${pid}/net/${table}`, 'utf8').trim().split('\n').slice(1),
    )
    .map((row) => row.trim().split(/\s+/))
    .filter(([, , , state, , , , , , inode]) => state === '0A' && inodes.has(inode))
    .map(([, local = '']) => Number.parseInt(local.split(':')[1] ?? '', 16))
}

const mismatch = (daemon: number, command: number) =>
  `The daemon is of another release: it speaks version ${daemon} of the control protocol, this command version ${command}.`

test('a command of another release is told so, and can stop the daemon all the same', async () => {
  const home = await openDaemonHome()
  await home.daemon(['start', ...noPorts])
  const { address, token, pid } = home.runFile()
  const asked = await dialProven(address, token)
  asked.socket.write('{"version":2,"id":4,"method":"something-new"}\n')
  expect(await asked.line(2)).toMatchObject({
    id: 4,
    ok: false,
    error: { code: 'connect-failed', message: mismatch(1, 2), hint: 'rootling daemon restart' },
  })
  const stopping = await dialProven(address, token)
  stopping.socket.write('{"version":2,"id":5,"method":"stop"}\n')
  expect(await stopping.line(2)).toMatchObject({ id: 5, ok: true })
  await waitFor('the end of the daemon', () => (isAlive(pid) ? null : true))
})

/** What is not our daemon, at its address: `answer` gets each line that the command sends. */
async function impersonate(
  home: { readonly state: string },
  greeting: string | Buffer,
  answer: (line: Line, socket: Socket) => void = () => undefined,
): Promise<Server> {
  const address = join(home.state, 'run', 'control.sock')
  mkdirSync(dirname(address), { recursive: true, mode: 0o700 })
  const server = createServer((socket) => {
    socket.on('error', () => undefined)
    socket.write(greeting)
    socket.setEncoding('utf8').on('data', (text: string) => {
      for (const line of text.trim().split('\n')) answer(JSON.parse(line) as Line, socket)
    })
  }).listen(address)
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  const run = { address, token: '5a'.repeat(32), pid: process.pid, since: '' }
  writeFileSync(join(home.state, 'daemon-run.json'), JSON.stringify(run), { mode: 0o600 })
  return server
}

test('a daemon of another release is told of, and stopped, by this command', async () => {
  const home = await openDaemonHome()
  const asked: unknown[] = []
  await impersonate(home, '{"version":2,"challenge":"c"}\n', (line, socket) => {
    asked.push(line['method'] ?? 'proof')
    const serverProof = proof('5a'.repeat(32), 'server', String(line['nonce']), 'c')
    const response =
      line['method'] === undefined
        ? { proof: serverProof }
        : { version: 2, id: line['id'], ok: true, result: { pid: 1 } }
    socket.write(`${JSON.stringify(response)}\n`)
  })
  const status = await home.daemon(['status'])
  expect(status).toMatchObject({ exitCode: 1, stdout: '' })
  expect(status.stderr).toBe(
    `Error: ${mismatch(2, 1)}\n  → ROOTLING_HOME=${home.state} rootling daemon restart\n`,
  )
  expect(asked).toEqual([])
  expect(await home.daemon(['stop'])).toMatchObject({ exitCode: 0 })
  expect(asked).toEqual(['proof', 'stop'])
})

test('whatever answers in the daemon’s place, the command ends with a sentence', async () => {
  const home = await openDaemonHome()
  const state = { path: home.state, owner: null }
  const greeting = oneof(
    uint8Array({ minLength: 1, maxLength: 500 }),
    json(),
    json().map((value) => `{"version":1,"challenge":${value}}`),
  )
  const property = asyncProperty(greeting, async (bytes) => {
    const server = await impersonate(home, Buffer.from(`${String(bytes)}\n`), (_line, socket) =>
      socket.write(Buffer.from(`${String(bytes)}\n`)),
    )
    await expect(askDaemon(state, 'status', 5_000)).rejects.toMatchObject({
      code: 'connect-failed',
      message: expect.stringMatching(/^(What answers is not|The daemon is of another)/),
    })
    await new Promise((resolve) => server.close(resolve))
  })
  await assert(property, { numRuns: 100 })
})

test('a daemon that is stuck is named with its id, and is not waited for without end', async () => {
  const home = await openDaemonHome()
  await home.daemon(['start', ...noPorts])
  const { pid } = home.runFile()
  process.kill(pid, 'SIGSTOP')
  const asked = askDaemon({ path: home.state, owner: null }, 'status', 1_000)
  await expect(asked).rejects.toMatchObject({
    code: 'connect-failed',
    message: `The daemon (pid ${pid}) gave no answer in 1 s.`,
    hint: `Is it stopped or stuck? kill -9 ${pid}`,
  })
  process.kill(pid, 'SIGCONT')
  expect(await home.status()).toMatchObject({ running: true })
})
