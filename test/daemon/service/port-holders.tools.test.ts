import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { describe, expect, onTestFinished, test } from 'vitest'
import { portHolders } from '../../../src/daemon/service/port-holders.ts'
import { hasIpv6Loopback } from '../../helpers/https-server.ts'

/** Listens in a process of its own, and returns its number and the port. */
async function listenApart(address: string, uid?: number): Promise<{ pid: number; port: number }> {
  const script = `const one = require('net').createServer().listen(0, '${address}', () => console.log(one.address().port))`
  const user = uid === undefined ? {} : { uid, gid: uid }
  const child = spawn(process.execPath, ['-e', script], { cwd: '/', ...user })
  onTestFinished(() => void child.kill('SIGKILL'))
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string]
  return { pid: child.pid ?? 0, port: Number(line) }
}

const isLinux = process.platform === 'linux'
const program = path.basename(process.execPath)

describe.skipIf(!isLinux)('who has a port of Linux is named', () => {
  test.each(['127.0.0.1', '0.0.0.0', ...(hasIpv6Loopback() ? ['::1', '::'] : [])])(
    'at %s',
    async (address) => {
      const { pid, port } = await listenApart(address)
      const sentence = `${program} (process ${pid})`
      expect(await portHolders(port)).toEqual([{ address, pids: [pid], sentence }])
    },
  )

  test('unless it keeps nobody from listening on loopback', async () => {
    const { port } = await listenApart('127.0.0.2')
    expect(await portHolders(port)).toEqual([])
  })

  test('with all processes that share the socket', async () => {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    onTestFinished(() => void server.close())
    const { port } = server.address() as AddressInfo
    const script = `process.on('message', (_, server) => process.send('got'))`
    const child = spawn(process.execPath, ['-e', script], {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    })
    onTestFinished(() => void child.kill('SIGKILL'))
    child.send('take', server)
    await once(child, 'message')
    const [holder] = await portHolders(port)
    expect(new Set(holder?.pids)).toEqual(new Set([process.pid, child.pid]))
  })

  test.skipIf(process.getuid?.() !== 0)('by its user alone, to another user', async () => {
    const { port } = await listenApart('127.0.0.1', 12_346)
    // Another user may not look into that process.
    process.setegid?.(12_347)
    process.seteuid?.(12_347)
    try {
      expect(await portHolders(port)).toEqual([
        { address: '127.0.0.1', pids: [], sentence: 'a program of the user 12346' },
      ])
    } finally {
      process.seteuid?.(0)
      process.setegid?.(0)
    }
  })
})
