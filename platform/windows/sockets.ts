import { isIP } from 'node:net'
import path from 'node:path'
import { expectSuccess, run } from '../command.ts'
import { createSocketRow, type ListeningProcess, type SocketRow } from '../socket-row.ts'

/** The user of this process, in place of the SID. */
const thisUser = 'this user'

/** Users whose sockets count as ours: the user of this process, and the system itself. */
export const windowsOwners = [thisUser, 'S-1-5-18']

/**
 * Finds TCP sockets of this Windows with their users, through Windows PowerShell: Get-NetTCPConnection
 * names the process that made a socket, and WMI the user of that process. Windows hides users of
 * other people's processes and services from whoever is not an administrator; those users are `''`.
 */
export function windowsSockets(
  env: Readonly<Record<string, string | undefined>> = process.env,
  runProgram: typeof run = run,
) {
  return {
    connections: (localPort: number, remotePort: number): Promise<SocketRow[]> =>
      find(`-LocalPort ${localPort} -RemotePort ${remotePort}`, held),
    listeners: (port: number): Promise<SocketRow[]> => find(`-LocalPort ${port}`, listening),
    // Windows lets every user listen at any port.
    firstFreePort: async () => 0,
  }

  async function find(ports: string, states: ReadonlySet<string>): Promise<SocketRow[]> {
    const [own = '', ...rows] = await linesOf(scriptFor(ports), env, runProgram)
    return rows.flatMap((row) => {
      const [local = '', remote = '', state = '', sid = ''] = row.split(' ')
      return states.has(state) ? createSocketRow(local, remote, sid === own ? thisUser : sid) : []
    })
  }
}

async function linesOf(
  script: string,
  env: Readonly<Record<string, string | undefined>>,
  runProgram: typeof run,
): Promise<string[]> {
  const root = env['SystemRoot'] ?? env['SYSTEMROOT'] ?? String.raw`C:\Windows`
  const powershell = String.raw`System32\WindowsPowerShell\v1.0\powershell.exe`
  const args = ['-NoProfile', '-NonInteractive', '-Command', script]
  const program = path.win32.join(root, powershell)
  const { stdout } = expectSuccess('powershell', await runProgram(program, args, { env }))
  return stdout.split(/\r?\n/)
}

/**
 * Returns which processes listen at a port of this Windows, and at which addresses. Process 4 is
 * Windows itself: its HTTP.sys takes ports for IIS and others.
 */
export async function windowsListeners(
  port: number,
  env: Readonly<Record<string, string | undefined>> = process.env,
  runProgram: typeof run = run,
): Promise<ListeningProcess[]> {
  const lines = await linesOf(listenersScript(port), env, runProgram)
  return lines.flatMap((line) => {
    const [, address = '', pid = '', program = ''] = /^(\S+) (\d+) (.*)$/.exec(line) ?? []
    const name = pid === '4' ? 'HTTP.sys of Windows, such as for IIS' : program
    return isIP(address) === 0 ? [] : [{ address, pid: Number(pid), program: name }]
  })
}

const listenersScript = (port: number): string =>
  [
    `$ErrorActionPreference = 'Stop'`,
    String.raw`$env:PSModulePath = $PSHOME + '\Modules'`,
    `foreach ($one in @(Get-NetTCPConnection -LocalPort ${port} -State Listen -ErrorAction SilentlyContinue)) { ` +
      `$one.LocalAddress + ' ' + $one.OwningProcess + ' ' + ` +
      `(Get-Process -Id $one.OwningProcess -ErrorAction SilentlyContinue).ProcessName }`,
  ].join('; ')

/** The numbers of MSFT_NetTCPConnection's states: established and close wait. */
const held = new Set(['5', '8'])
const listening = new Set(['2'])

/** Process 4 is Windows itself. A process that is younger than its socket has a number of another. */
const scriptFor = (ports: string): string =>
  [
    `$ErrorActionPreference = 'Stop'`,
    // When started from PowerShell 7, Windows PowerShell inherits a path of modules that it cannot
    // load.
    String.raw`$env:PSModulePath = $PSHOME + '\Modules'`,
    `[Security.Principal.WindowsIdentity]::GetCurrent().User.Value`,
    `foreach ($one in @(Get-NetTCPConnection ${ports} -ErrorAction SilentlyContinue)) { ` +
      `$sid = ''; ` +
      `if ($one.OwningProcess -eq 4) { $sid = 'S-1-5-18' } else { ` +
      `$made = Get-CimInstance Win32_Process -Filter ('ProcessId=' + $one.OwningProcess); ` +
      `$known = $one.CreationTime.Year -gt 1601; ` +
      `if ($made -and -not ($known -and $made.CreationDate -gt $one.CreationTime)) ` +
      `{ $sid = (Invoke-CimMethod $made -MethodName GetOwnerSid).Sid } }; ` +
      `$one.LocalAddress + ' ' + $one.RemoteAddress + ' ' + [int]$one.State + ' ' + $sid }`,
  ].join('; ')
