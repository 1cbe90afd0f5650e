import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { networkInterfaces } from 'node:os'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { listenOnLoopback } from '../../../src/server/listen.ts'
import { createRevocationServer } from '../../../src/sites/revocation/server.ts'
import { fileStorage } from '../../../src/storage/files/storage.ts'
import { startDaemon, type Daemon } from '../../acme/daemon.ts'
import { command } from '../../helpers/built.ts'
import { hasIpv6Loopback } from '../../helpers/https-server.ts'
import { namespaceUnavailable, openNamespace } from '../../helpers/namespace.ts'
import { killGroup, waitFor } from '../../helpers/subprocess.ts'
import { open, speak } from './http1.ts'

let daemon: Daemon
beforeAll(async () => {
  daemon = await startDaemon()
})
afterAll(() => daemon.close())

test.skipIf(!hasIpv6Loopback())('both loopback addresses answer, on either port', async () => {
  const ca = await daemon.root()
  for (const host of ['127.0.0.1', '::1']) {
    const acme = { port: daemon.port, host, ca }
    const get = (path: string) => [`GET ${path} HTTP/1.1`, 'Host: localhost']
    expect((await speak(acme, get('/acme/directory'))).status).toBe(200)
    expect((await speak({ port: daemon.revocation, host }, get('/local.crl'))).status).toBe(200)
  }
})

test('no other address of this machine does', async () => {
  const others = Object.values(networkInterfaces())
    .flatMap((rows) => rows ?? [])
    .filter(({ address }) => address !== '127.0.0.1' && address !== '::1')
    .map(({ address, scopeid }) => (scopeid ? null : address))
    .filter((address) => address !== null)
  for (const host of ['127.0.0.2', ...others])
    for (const port of [daemon.port, daemon.revocation])
      await expect(open({ port, host })).rejects.toMatchObject({ code: 'ECONNREFUSED' })
})

test.skipIf(process.platform !== 'linux')('the kernel lists no other socket of it', async () => {
  // The addresses as the kernel writes them: in its own order of octets.
  const loopback = ['0100007F', '00000000000000000000000001000000']
  const tables = ['/proc/net/tcp', '/proc/net/tcp6'].map((path) => readFile(path, 'utf8'))
  const listening = (await Promise.all(tables))
    .flatMap((table) => table.trim().split('\n').slice(1))
    .map((line) => line.trim().split(/\s+/))
    .filter(([, , , state]) => state === '0A')
    .map(([, local = '']) => local.split(':'))
    .filter(([, port]) => [daemon.port, daemon.revocation].includes(parseInt(port ?? '', 16)))
  expect(new Set(listening.map(([address]) => address))).toEqual(
    new Set(hasIpv6Loopback() ? loopback : loopback.slice(0, 1)),
  )
  expect(listening).toHaveLength(hasIpv6Loopback() ? 4 : 2)
})

const obstacle = namespaceUnavailable()
const skipNote = obstacle === null ? '' : ` [skipped: ${obstacle}]`
describe.skipIf(obstacle !== null)(`a machine of its own${skipNote}`, () => {
  test('without IPv6 serves on 127.0.0.1, says so, and on no address that is added', async () => {
    const namespace = await openNamespace({ ownLoopback: true })
    try {
      const script = 'ip -6 addr flush dev lo && ip addr add 198.51.100.7/32 dev lo && ip addr'
      expect((await namespace.must('sh', ['-c', script])).stdout).not.toContain('::1')
      const home = { ROOTLING_HOME: `${namespace.home}/state` }
      const run = (...args: string[]) =>
        namespace.must(process.execPath, [command, ...args], { env: home })
      await run('install', '--yes', '--stores', 'nss')
      const root = `${namespace.home}/root.pem`
      await namespace.must('sh', ['-c', `${process.execPath} ${command} ca export > ${root}`], {
        env: home,
      })
      const ports = ['--acme-port', '14600', '--revocation-port', '14680']
      const child = namespace.spawn(process.execPath, [command, 'daemon', 'run', ...ports], {
        env: home,
      })
      let said = ''
      for (const stream of [child.stdout, child.stderr])
        stream.setEncoding('utf8').on('data', (text: string) => (said += text))
      await waitFor('the daemon', () => /^Running since/m.exec(said))
      expect(said).toContain('no ::1 on this machine, so ACME answers on 127.0.0.1 alone')
      expect(said).toContain('no ::1 on this machine, so revocation answers on 127.0.0.1 alone')
      const curl = async (...args: string[]) =>
        (await namespace.run('curl', ['-s', '-o', '/dev/null', '-w', '%{http_code}', ...args]))
          .stdout
      expect(await curl('--cacert', root, 'https://localhost:14600/acme/directory')).toBe('200')
      expect(await curl('http://localhost:14680/local.crl')).toBe('200')
      for (const url of ['https://198.51.100.7:14600', 'http://198.51.100.7:14680'])
        expect((await namespace.run('curl', ['-sk', url])).exitCode).toBe(7)
      killGroup(child)
    } finally {
      await namespace.close()
    }
  })
})

test.skipIf(!hasIpv6Loopback())('a port that another has at ::1 is taken', async () => {
  const other = createServer().listen(0, '::1')
  await once(other, 'listening')
  onTestFinished(() => void other.close())
  const { port } = other.address() as AddressInfo
  const storage = fileStorage(daemon.state)
  const start = (host: string) =>
    createRevocationServer({ storage, now: () => new Date(), host, port })
  const taken = { code: 'port-in-use', message: expect.stringContaining(`[::1]:${port}`) }
  await expect(listenOnLoopback(port, start, () => {})).rejects.toMatchObject(taken)
  await expect(open({ port })).rejects.toMatchObject({ code: 'ECONNREFUSED' })
})
