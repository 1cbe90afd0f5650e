import { chmod, mkdtemp, rm, stat } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { assert, json, oneof, property, string } from 'fast-check'
import { expect, onTestFinished, test } from 'vitest'
import { askDaemon } from '../../src/daemon/control-client.ts'
import { longestLine, methodOf, parseRequest } from '../../src/daemon/control-protocol.ts'
import { runDaemon, type DaemonStatus } from '../../src/daemon/daemon.ts'
import { readRunFile, writeRunFile } from '../../src/home/run-file.ts'
import { readSettings } from '../../src/daemon/settings.ts'
import { issue } from '../../src/certificates/issue.ts'
import { ensureAuthority } from '../../src/authority/create.ts'
import { currentCertificates } from '../../src/certificates/status.ts'
import { readRecord } from '../../src/storage/files/record.ts'

async function authority(since = new Date()) {
  const directory = await mkdtemp(join(tmpdir(), 'rootling-daemon-'))
  onTestFinished(() => rm(directory, { recursive: true, force: true }))
  const state = { path: join(directory, 'state'), owner: null }
  await ensureAuthority(state, since)
  return { state, directory }
}

/** A daemon in this process that listens on nothing but its control socket. */
async function running(state: Parameters<typeof runDaemon>[0]['state']) {
  const lines: string[] = []
  const settings = { ...(await readSettings(state)), acmePort: 0, revocationPort: 0 }
  let stop = (): void => undefined
  const stopSignal = new Promise<void>((resolve) => (stop = resolve))
  const { promise: ready, onReady } = whenReady()
  const log = (line: string): void => void lines.push(line)
  const now = () => new Date()
  const ended = runDaemon({ state, settings, now, env: process.env, log, stopSignal, onReady })
  onTestFinished(async () => {
    stop()
    await ended.catch(() => undefined)
  })
  await Promise.race([ready, ended])
  return { lines, ended }
}

function whenReady() {
  let onReady = (_status: DaemonStatus): void => undefined
  const promise = new Promise<DaemonStatus>((resolve) => (onReady = resolve))
  return { promise, onReady: (status: DaemonStatus) => onReady(status) }
}

test('the daemon answers its owner, and stops when it is told to', async () => {
  const { state } = await authority()
  expect(await askDaemon(state, 'status')).toBeNull()
  const { ended, lines } = await running(state)
  expect(await askDaemon(state, 'status')).toMatchObject({ pid: process.pid, failures: [] })
  await askDaemon(state, 'stop')
  await ended
  expect(lines.at(-1)).toBe('stopping')
  expect(await askDaemon(state, 'status')).toBeNull()
})

test('a second daemon on the same state directory is refused', async () => {
  const { state } = await authority()
  await running(state)
  await expect(running(state)).rejects.toMatchObject({
    code: 'locked',
    message: `The daemon runs already (pid ${process.pid}).`,
  })
})

test('the socket is for its owner alone, in a directory that only its owner enters', async () => {
  const { state } = await authority()
  await running(state)
  const { address = '' } = (await readRunFile(state)) ?? {}
  expect((await stat(address)).mode & 0o777).toBe(0o600)
  expect((await stat(dirname(address))).mode & 0o777).toBe(0o700)
  expect((await stat(join(state.path, 'daemon-run.json'))).mode & 0o777).toBe(0o600)
})

test('who does not know the token gets no answer, on either side', async () => {
  const { state } = await authority()
  await running(state)
  const run = await readRunFile(state)
  expect(run).not.toBeNull()
  if (run === null) return
  await writeRunFile(state, { ...run, token: '00'.repeat(32) })
  await expect(askDaemon(state, 'status')).rejects.toMatchObject({ code: 'connect-failed' })
  await chmod(join(state.path, 'daemon-run.json'), 0o644)
  await expect(askDaemon(state, 'status')).rejects.toMatchObject({ code: 'loose-key' })
})

test('a line without an end is cut off', async () => {
  const { state } = await authority()
  await running(state)
  const { address = '' } = (await readRunFile(state)) ?? {}
  const socket = connect(address)
  onTestFinished(() => void socket.destroy())
  const closed = new Promise((resolve) => socket.once('close', () => resolve('closed')))
  socket.on('error', () => undefined)
  socket.write('x'.repeat(longestLine + 10))
  socket.resume()
  expect(await closed).toBe('closed')
})

test('anything but a request is none, and no method but ours is one', () => {
  const request = parseRequest('{"version":1,"id":7,"method":"status"}')
  expect(request).toMatchObject({ id: 7 })
  expect(request && methodOf(request)).toBe('status')
  expect(methodOf({ version: 1, id: 7, method: 'sign' })).toBeNull()
  expect(methodOf({ version: 1, id: 7, method: 'toString' })).toBeNull()
  expect(parseRequest('{"version":1,"method":"status"}')).toBeNull()
  assert(
    property(oneof(string(), json()), (line) => parseRequest(line) === null),
    { numRuns: 5000 },
  )
})

test('what is due is renewed at once, and its command is run; what was changed is told', async () => {
  const past = new Date(Date.now() - 80 * 86_400_000)
  const { state, directory } = await authority(past)
  const mark = join(directory, 'ran')
  const request = { days: 90, files: { outDir: directory } }
  await issue(state, { ...request, names: ['due.test'], onRenew: `touch ${mark}` }, past)
  const lost = await issue(state, { ...request, names: ['lost.test'] }, past)
  await rm(lost.record.certPath ?? '')
  const { lines } = await running(state)
  const status = await askDaemon<DaemonStatus>(state, 'renew')
  expect(status?.failures).toMatchObject([{ names: ['lost.test'], failures: 1 }])
  await expect(stat(mark)).resolves.toBeTruthy()
  expect(lines.join('\n')).toContain('renewed due.test')
  const entry = currentCertificates(await readRecord(state)).find(
    ({ identifiers }) => identifiers[0]?.value === 'due.test',
  )
  expect(Date.parse(entry?.notAfter ?? '')).toBeGreaterThan(Date.now() + 80 * 86_400_000)
})
