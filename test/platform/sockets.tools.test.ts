import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { run } from '../../platform/command.ts'
import { macosListeners, macosSockets } from '../../platform/macos/sockets.ts'
import { windowsListeners, windowsOwners, windowsSockets } from '../../platform/windows/sockets.ts'
import { createSocketOwners } from '../../src/server/socket-owner.ts'
import { createMac, createWindows, type SimulatedMachine } from './simulators/machine.ts'

// Real sockets of real users of this machine; the programs that list them are simulated.

const obstacle =
  process.platform === 'linux' && process.getuid?.() === 0
    ? null
    : 'only root of Linux can start programs of other users'
const note = obstacle === null ? '' : ` [skipped: ${obstacle}]`
const [ada, mallory] = [12_345, 12_346]

/** Runs a script of Node as a user, and returns the first line that it prints. */
async function runAs(uid: number, script: string): Promise<[child: ChildProcess, line: string]> {
  const child = spawn(process.execPath, ['-e', script], { uid, gid: uid, cwd: '/' })
  onTestFinished(() => void child.kill('SIGKILL'))
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string]
  return [child, line]
}

async function listen(address: string) {
  const server = createServer({ allowHalfOpen: true }).listen(0, address)
  onTestFinished(() => void server.close())
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    port,
    /** Returns our end of a connection from a process of that user. */
    async dialledBy(uid: number, host: string): Promise<Socket> {
      const accepted = once(server, 'connection') as Promise<[Socket]>
      const script = `require('net').connect(${port}, '${host}', () => console.log('there'))`
      await runAs(uid, script)
      const [socket] = await accepted
      onTestFinished(() => void socket.destroy())
      return socket
    },
  }
}

const listenAs = async (uid: number, address: string): Promise<number> => {
  const script = `const one = require('net').createServer().listen(0, '${address}', () => console.log(one.address().port))`
  return Number((await runAs(uid, script))[1])
}

const programsOf = (machine: SimulatedMachine): typeof run => {
  onTestFinished(() => machine.remove())
  return (program, args) => machine.query(program, args)
}
const withMac = (state: Record<string, unknown> = {}, ours = [0, ada]) =>
  createSocketOwners(macosSockets(programsOf(createMac(state))), ours)
const withWindows = (state: Record<string, unknown> = {}) =>
  createSocketOwners(
    windowsSockets({}, programsOf(createWindows({ uid: ada, ...state }))),
    windowsOwners,
  )

const systems = [
  ...[10, 14, 15, 26].map((version) => ({
    system: `macOS ${version}`,
    open: () => withMac({ version }),
  })),
  { system: 'Windows', open: () => withWindows() },
]

describe.skipIf(obstacle !== null)(`users are told apart${note}`, () => {
  describe.each(systems)('on $system', ({ open }) => {
    test.each([
      ['127.0.0.1', '127.0.0.1'],
      ['::1', '::1'],
      ['::', '127.0.0.1'],
    ])('by their connections, from %s to %s', async (address, host) => {
      const server = await listen(address)
      const owners = open()
      const [hers, his] = [await server.dialledBy(ada, host), await server.dialledBy(mallory, host)]
      expect(await owners.ofPeer(hers)).toBe('ours')
      expect(await owners.ofPeer(his)).toBe('foreign')
      const gone = { ...addressesOf(hers), remotePort: 1 }
      expect(await owners.ofPeer(gone)).toBe("nobody's")
    })

    test.each(['127.0.0.1', '0.0.0.0', '::', '::1'])('by their servers at %s', async (address) => {
      const owners = open()
      const dialled = address === '::1' ? '::1' : '127.0.0.1'
      expect(await owners.ofListener(dialled, await listenAs(ada, address))).toBe('ours')
      expect(await owners.ofListener(dialled, await listenAs(mallory, address))).toBe('foreign')
      expect(await owners.ofListener(dialled, 1)).toBe("nobody's")
    })
  })

  test('a Mac’s root may answer challenges, and needs a key for an account', async () => {
    const server = await listen('127.0.0.1')
    const owners = withMac()
    expect(await owners.ofPeer(await server.dialledBy(0, '127.0.0.1'))).toBe('foreign')
    expect(await owners.ofListener('127.0.0.1', server.port)).toBe('ours')
  })

  test('on a Mac a program with rights of another user is nobody’s', async () => {
    const owners = withMac({ startedBy: { [ada]: mallory } })
    expect(await owners.ofListener('127.0.0.1', await listenAs(ada, '127.0.0.1'))).toBe('foreign')
  })

  const lists = [
    ...[10, 14, 15, 26].map((version) => ({
      system: `macOS ${version}`,
      list: (port: number) => macosListeners(port, programsOf(createMac({ version }))),
    })),
    {
      system: 'Windows',
      list: (port: number) => windowsListeners(port, {}, programsOf(createWindows())),
    },
  ]
  test.each(lists)('the programs that listen are named on $system', async ({ list }) => {
    for (const address of ['127.0.0.1', '::1', '::']) {
      const script = `const one = require('net').createServer().listen(0, '${address}', () => console.log(one.address().port))`
      const [child, line] = await runAs(mallory, script)
      const program = path.basename(process.execPath)
      expect(await list(Number(line))).toEqual([{ address, pid: child.pid, program }])
    }
    expect(await list(1)).toEqual([])
  })

  test('on Windows HTTP.sys is named, which listens for IIS', async () => {
    const port = await listenAs(mallory, '0.0.0.0')
    const machine = createWindows({ system: mallory })
    const program = 'HTTP.sys of Windows, such as for IIS'
    expect(await windowsListeners(port, {}, programsOf(machine))).toEqual([
      { address: '0.0.0.0', pid: 4, program },
    ])
  })

  test('on Windows the system counts as ours', async () => {
    const owners = withWindows({ system: mallory })
    expect(await owners.ofListener('127.0.0.1', await listenAs(mallory, '127.0.0.1'))).toBe('ours')
  })
})

test.each(['', 'Proto Recv-Q Send-Q  Local Address Foreign Address (state)\n'])(
  'a table without processes leaves the owner unknown: %j',
  async (stdout) => {
    const owners = createSocketOwners(
      macosSockets(async () => ({ exitCode: 0, stdout, stderr: '' })),
      [0],
    )
    expect(await owners.ofListener('127.0.0.1', 1)).toBe('unknown')
  },
)

test.each([
  ['a Mac', macosSockets],
  ['Windows', (failing: typeof run) => windowsSockets({}, failing)],
])('programs of %s that fail leave the owner unknown', async (_, open) => {
  const owners = createSocketOwners(
    open(async () => ({ exitCode: 1, stdout: '', stderr: 'no' })),
    [0],
  )
  expect(await owners.ofListener('127.0.0.1', 1)).toBe('unknown')
  expect(await owners.firstFreePort()).toBe(0)
})

const addressesOf = ({ localAddress, localPort, remoteAddress }: Socket) => ({
  localAddress,
  localPort,
  remoteAddress,
})
