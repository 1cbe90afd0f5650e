import path from 'node:path'
import { RootlingError } from '../../src/errors.ts'
import { expectSuccess, run } from '../command.ts'
import { createSocketRow, type ListeningProcess, type SocketRow } from '../socket-row.ts'

/**
 * Finds TCP sockets of this Mac with their users: netstat names the process that used a socket last,
 * and ps the user of that process.
 */
export function macosSockets(runProgram: typeof run = run) {
  return {
    async connections(localPort: number, remotePort: number): Promise<SocketRow[]> {
      const found = await find(
        ({ state, local, remote }) =>
          held.has(state) && local.port === localPort && remote.port === remotePort,
      )
      // A program with root's rights that anybody may start, such as sudo, reads what it is given as
      // standard input, and then counts as the last that used this socket. So root is not told from
      // others here.
      return found.map((row) => (row.user === 0 ? { ...row, user: nobody } : row))
    },
    listeners: (port: number): Promise<SocketRow[]> =>
      find(({ state, local }) => state === 'LISTEN' && local.port === port),
    // Since macOS 10.14 every user may listen at any port of all addresses.
    firstFreePort: async () => 0,
  }

  async function find(isMeant: (row: NetstatRow) => boolean): Promise<SocketRow[]> {
    const asked = await runProgram('/usr/sbin/netstat', ['-anvW', '-p', 'tcp'], { env: {} })
    const rows = readNetstat(expectSuccess('netstat', asked).stdout).filter(isMeant)
    if (rows.length === 0) return []
    const users = await usersOf(rows.map(({ process }) => process))
    return rows.flatMap(({ local, remote, process }) =>
      createSocketRow(local.address, remote.address, users.get(process) ?? nobody),
    )
  }

  async function usersOf(processes: readonly string[]): Promise<Map<string, number>> {
    const columns = ['pid', 'ruid', 'uid'].flatMap((column) => ['-o', `${column}=`])
    const list = [...new Set(processes)].join(',')
    // ps exits with 1 when a process has ended.
    const { stdout } = await runProgram('/bin/ps', [...columns, '-p', list], { env: {} })
    const users = stdout
      .trim()
      .split('\n')
      .map((line) => line.trim().split(/\s+/))
    return new Map(
      users.map(([process = '', real, effective]) => [
        process,
        // Where the two differ, somebody started a program that has the rights of another user.
        real === effective ? Number(real) : nobody,
      ]),
    )
  }
}

/** Returns which processes listen at a port of this Mac, and at which addresses. */
export async function macosListeners(
  port: number,
  runProgram: typeof run = run,
): Promise<ListeningProcess[]> {
  const asked = await runProgram('/usr/sbin/netstat', ['-anvW', '-p', 'tcp'], { env: {} })
  const rows = readNetstat(expectSuccess('netstat', asked).stdout).filter(
    ({ state, local }) => state === 'LISTEN' && local.port === port,
  )
  if (rows.length === 0) return []
  const list = [...new Set(rows.map(({ process }) => process))].join(',')
  const args = ['-o', 'pid=', '-o', 'comm=', '-p', list]
  const { stdout } = await runProgram('/bin/ps', args, { env: {} })
  const programs = new Map(
    stdout.split('\n').map((line) => {
      const [, pid = '', program = ''] = /^ *(\d+) (.*)$/.exec(line) ?? []
      return [pid, path.posix.basename(program.trim())]
    }),
  )
  return rows.map(({ local, process }) => ({
    address: local.address,
    pid: Number(process),
    program: programs.get(process) ?? '',
  }))
}

/** The states in which a process holds the socket of a connection. */
const held = new Set(['ESTABLISHED', 'CLOSE_WAIT'])

/** No user has this uid. */
const nobody = -1

interface Endpoint {
  readonly address: string
  readonly port: number
}

interface NetstatRow {
  readonly local: Endpoint
  readonly remote: Endpoint
  readonly state: string
  /** The process's number. */
  readonly process: string
}

/**
 * Reads the table of `netstat -anv`. Its columns differ between versions of macOS: the process is
 * below `pid`, or since macOS 26 below `process:pid` after the program's name, which may contain
 * spaces. So the columns are counted from the right. Throws `tool-failed` for a table without them.
 */
function readNetstat(table: string): NetstatRow[] {
  const lines = table.split('\n')
  const header =
    lines
      .find((line) => line.startsWith('Proto '))
      ?.trim()
      .split(/\s+/) ?? []
  const index = header.findLastIndex((column) => /^(?:process:)?pid$/.test(column))
  if (index === -1)
    throw new RootlingError(
      'tool-failed',
      'netstat names no processes, in a table of its own form.',
    )
  const fromRight = index - header.length
  return lines.flatMap((line) => {
    const columns = line.trim().split(/\s+/)
    const [protocol = '', , , local = '', remote = '', state = ''] = columns
    const process = /^(?:.*:)?(\d+)$/.exec(columns.at(fromRight) ?? '')?.[1]
    if (!/^tcp(?:4|6|46)$/.test(protocol) || process === undefined) return []
    const read = (text: string): Endpoint => readEndpoint(text, protocol)
    return [{ local: read(local), remote: read(remote), state, process }]
  })
}

/** Reads an address and a port, as in `127.0.0.1.443`, `::1.443` and `*.443`. */
function readEndpoint(text: string, protocol: string): Endpoint {
  const dot = text.lastIndexOf('.')
  const address = text.slice(0, dot)
  const anywhere = protocol === 'tcp4' ? '0.0.0.0' : '::'
  return { address: address === '*' ? anywhere : address, port: Number(text.slice(dot + 1)) }
}
