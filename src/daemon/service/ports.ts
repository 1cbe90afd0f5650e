import { once } from 'node:events'
import { lstat } from 'node:fs/promises'
import { connect } from 'node:net'
import { networkInterfaces } from 'node:os'
import { join } from 'node:path'
import type { Machine } from '../../../platform/machine.ts'
import { RootlingError } from '../../errors.ts'
import { readText } from '../../files/read.ts'
import { defaultAuthority, type StateDirectory } from '../../home/state-directory.ts'
import { hostPort } from '../../server/listen.ts'
import { linuxSockets } from '../../server/linux-sockets.ts'
import { quotedPath, shellWord } from '../../shell-word.ts'
import { portHolders, type PortHolder } from './port-holders.ts'
import {
  everyUnit,
  isPortsUnit,
  portSockets,
  portsService,
  readPortsService,
  socketUnit,
  type InstalledPorts,
  type PortSocket,
  type Unit,
} from './ports-units.ts'

/**
 * How the daemon gets ports 443 and 80. `plain`: it may listen there itself. `units`: the system's
 * systemd listens, and hands it the sockets.
 */
export type PortsWay = 'plain' | 'units'

/**
 * Finds how this user's daemon can get ports 443 and 80. Throws `unsupported` where only root can
 * change that, by a setting for every user of the machine.
 */
export async function findPortsWay(): Promise<PortsWay> {
  if (process.platform !== 'linux' || process.getuid?.() === 0) return 'plain'
  if ((await linuxSockets.firstFreePort()) <= 80) return 'plain'
  if (await isBooted()) return 'units'
  throw new RootlingError(
    'unsupported',
    'Only root may listen on ports 443 and 80 here, and no systemd runs that could hand them over.',
    {
      hint: 'To let every user of this machine listen from port 80 on: sudo sysctl net.ipv4.ip_unprivileged_port_start=80',
    },
  )
}

/** Whether systemd is the system's service manager, as sd_booted(3) finds out. */
async function isBooted(): Promise<boolean> {
  const info = await lstat('/run/systemd/system').catch(() => null)
  return info?.isDirectory() === true
}

/** Whether this machine has ::1; it may have come or gone since Rootling was started. */
export const hasIpv6 = (): boolean =>
  Object.values(networkInterfaces()).some((rows) => rows?.some(({ address }) => address === '::1'))

/** The most octets of a unit that are read; those of Rootling are far smaller. */
const longestUnit = 64 * 1024

/** Returns the text of a unit; empty: what is there can be no unit of Rootling; `null`: nothing. */
const readUnit = (path: string): Promise<string | null> =>
  readText(path, longestUnit).catch(() => '')

/** Where the administrator of a machine has units (systemd.unit(5)). */
const systemUnits = '/etc/systemd/system'

/** The path of the unit that runs the daemon with its ports. */
export const portsServicePath = join(systemUnits, portsService)

/**
 * Returns what the system's service of Rootling says, whoever installed it; `null`: there is none,
 * or a person wrote or changed it.
 */
export async function readInstalledPorts(directory = systemUnits): Promise<InstalledPorts | null> {
  const text = await readUnit(join(directory, portsService))
  return text === null ? null : readPortsService(text)
}

/**
 * Has systemd start the daemon of this state directory, which needs no root: a connection to one of
 * its sockets does that. `false`: no unit of systemd listens for this daemon.
 */
export async function wakeByPorts(state: StateDirectory): Promise<boolean> {
  const installed = process.platform === 'linux' ? await readInstalledPorts() : null
  if (installed === null || !isFor(installed, state)) return false
  const [socket] = await installedSockets()
  if (socket === undefined) return false
  const connection = connect(socket.port, '127.0.0.1')
  try {
    await once(connection, 'connect')
    return true
  } catch {
    return false
  } finally {
    connection.destroy()
  }
}

/** Returns the ports for which there is a unit of Rootling. */
export async function installedSockets(directory = systemUnits): Promise<PortSocket[]> {
  const found: PortSocket[] = []
  for (const socket of portSockets)
    if (isPortsUnit((await readUnit(join(directory, socketUnit(socket)))) ?? '')) found.push(socket)
  return found
}

/** Whether the system's service runs the daemon of this state directory. */
export function isFor({ home, authority, uid }: InstalledPorts, state: StateDirectory): boolean {
  const own = state.owner?.uid ?? process.getuid?.()
  return home === defaultAuthority(state).path && authority === state.authority && uid === own
}

const notWritten = 'was not written by rootling daemon install --ports, or was changed since'

/**
 * Throws `not-ours` where a person wrote or changed a unit of these names, or Rootling did for
 * another daemon: the ports can be of one daemon alone.
 */
export async function refuseForeignUnits(
  state: StateDirectory,
  directory = systemUnits,
): Promise<void> {
  for (const { name } of everyUnit) {
    const path = join(directory, name)
    const text = await readUnit(path)
    if (text === null || isPortsUnit(text)) continue
    throw new RootlingError('not-ours', `${quotedPath(path)} ${notWritten}.`, {
      hint: `sudo mv ${shellWord(path)} ${shellWord(`${path}.old`)}`,
    })
  }
  const installed = await readInstalledPorts(directory)
  if (installed === null || isFor(installed, state)) return
  const { uid, home, authority } = installed
  const command = `ROOTLING_HOME=${shellWord(home)} rootling ${authority === undefined ? '' : `--ca ${authority} `}daemon uninstall`
  throw new RootlingError(
    'not-ours',
    `Ports 443 and 80 of this machine belong to the daemon of the user ${uid} with its state in ${quotedPath(home)}.`,
    { hint: `As that user: ${command}` },
  )
}

/** The ports that the daemon can have, and those of other programs. */
export interface FreePorts {
  readonly free: readonly PortSocket[]
  readonly taken: readonly { readonly port: number; readonly holder: PortHolder }[]
}

/**
 * Finds which of the ports another program has. `isOurs` says which ones the daemon or its units
 * have already.
 */
export async function findFreePorts(
  isOurs: (socket: PortSocket, holders: readonly PortHolder[]) => Promise<boolean>,
): Promise<FreePorts> {
  const free: PortSocket[] = []
  const taken: { port: number; holder: PortHolder }[] = []
  for (const socket of portSockets) {
    const holders = await portHolders(socket.port)
    const [holder] = holders
    if (holder === undefined || (await isOurs(socket, holders))) free.push(socket)
    else taken.push({ port: socket.port, holder })
  }
  return { free, taken }
}

/** Says who has a port. */
export function takenSentence({ port, holder }: FreePorts['taken'][number]): string {
  const { sentence, address } = holder
  return `${sentence.charAt(0).toUpperCase()}${sentence.slice(1)} already listens on ${hostPort(address, port)}.`
}

/** Runs systemctl as root. Throws `tool-missing`, and `tool-failed` with what it said. */
async function systemctl(machine: Machine, ...args: string[]): Promise<void> {
  const program = await machine.find('systemctl', { forRoot: true })
  if (program === null)
    throw new RootlingError('tool-missing', 'systemctl is not in the system’s directories.')
  const { exitCode, stdout, stderr } = await machine.change(program, args, { as: 'root' })
  if (exitCode === 0) return
  const said = (stderr.trim() || stdout.trim()).split('\n')[0]
  throw new RootlingError(
    'tool-failed',
    `systemctl ${args.join(' ')} failed: ${said || `exit ${exitCode}`}`,
    { hint: `systemctl status ${everyUnit.map(({ name }) => name).join(' ')}` },
  )
}

/** Whether the system's systemd listens for one of our units now. */
export async function isUnitActive(machine: Machine, socket: PortSocket): Promise<boolean> {
  const program = await machine.find('systemctl')
  if (program === null) return false
  const { exitCode } = await machine.query(program, ['is-active', '--quiet', socketUnit(socket)])
  return exitCode === 0
}

/**
 * Writes the units as root, and has systemd listen and run the daemon, now and at each start of the
 * machine. `beforeStart` stops another daemon, once root's files could be written. When something
 * fails, the units are taken back, and the error is thrown.
 */
export async function installUnits(
  units: readonly Unit[],
  machine: Machine,
  beforeStart: () => Promise<void>,
  directory = systemUnits,
): Promise<void> {
  const names = units.map(({ name }) => name)
  const sockets = names.filter((name) => name !== portsService)
  try {
    // A port may have been served once that another program has by now.
    await removeSome(({ name }) => !names.includes(name), machine, directory)
    for (const { name, contents } of units)
      await machine.writeFile(join(directory, name), contents, 'root')
    await systemctl(machine, 'daemon-reload')
    await beforeStart()
    await systemctl(machine, 'enable', ...names)
    // systemd refuses to listen anew while the service has the sockets.
    await systemctl(machine, 'stop', portsService)
    await systemctl(machine, 'restart', ...sockets)
    await systemctl(machine, 'start', portsService)
  } catch (error) {
    await removeUnits(machine, directory).catch(() => undefined)
    throw error
  }
}

/**
 * Has systemd end the daemon and listen no longer, and deletes the units, but none that a person
 * wrote or changed. Returns a sentence about what could not be done; `null`: all is done.
 */
export const removeUnits = (machine: Machine, directory = systemUnits): Promise<string | null> =>
  removeSome(() => true, machine, directory)

async function removeSome(
  isMeant: (unit: Unit) => boolean,
  machine: Machine,
  directory: string,
): Promise<string | null> {
  const own: Unit[] = []
  let problem: string | null = null
  for (const unit of everyUnit.filter(isMeant)) {
    const path = join(directory, unit.name)
    const text = await readUnit(path)
    if (text === null) continue
    if (isPortsUnit(text)) own.push(unit)
    else problem = `${quotedPath(path)} ${notWritten}, so it was left.`
  }
  if (own.length === 0) return problem
  try {
    await systemctl(machine, 'disable', '--now', ...own.map(({ name }) => name))
  } catch (error) {
    // Without root's rights nothing can be done; without systemd the files can go all the same.
    if (!(error instanceof RootlingError) || error.code === 'store-failed') throw error
    problem = error.message
  }
  for (const { name, link } of own)
    for (const file of [name, link]) await machine.removeFile(join(directory, file), 'root')
  await systemctl(machine, 'daemon-reload').catch(() => undefined)
  return problem
}
