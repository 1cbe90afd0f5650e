import { portHolders, type PortHolder } from '../../daemon/service/port-holders.ts'
import {
  installedSockets,
  isFor,
  isUnitActive,
  portsServicePath,
  readInstalledPorts,
} from '../../daemon/service/ports.ts'
import {
  socketUnit,
  type InstalledPorts,
  type PortSocket,
} from '../../daemon/service/ports-units.ts'
import { exists } from '../../files/exists.ts'
import { isLocked } from '../../files/lock.ts'
import { daemonLock, readRunFile } from '../../home/run-file.ts'
import { hostPort } from '../../server/listen.ts'
import { finding, type Finding } from '../codes.ts'
import type { Checked, Known } from './check.ts'

/**
 * Looks whether the daemon has the ports that `daemon install --ports` gave it. Without that command
 * nothing is looked at, and neither where it was called for another state directory.
 */
export async function checkPorts(known: Known): Promise<Checked> {
  const { state } = known.world
  const installed = process.platform === 'linux' ? await readInstalledPorts() : null
  if (installed === null || installed.authority !== state.authority)
    return { check: 'ports', subjects: [], findings: [] }
  if (!isFor(installed, state)) {
    const ofThisUser = installed.uid === (state.owner?.uid ?? process.getuid?.())
    const why = `runs the daemon of ${installed.home}, not that of ${state.path}`
    const findings = ofThisUser ? [stale(why, 'rootling daemon uninstall')] : []
    return { check: 'ports', subjects: [portsServicePath], findings }
  }
  const sockets = await installedSockets()
  const pid = await runningDaemon(known)
  const findings = await Promise.all([
    judgePrograms(installed),
    ...sockets.map((socket) => judgeSocket(socket, pid, known)),
  ])
  return {
    check: 'ports',
    subjects: [portsServicePath, ...sockets.map(({ port }) => `port ${port}`)],
    findings: findings.flat(),
  }
}

const reinstall = 'rootling daemon install --ports'

const stale = (why: string, command: string): Finding =>
  finding('ports-unit-stale', portsServicePath, { unit: portsServicePath, why, command })

/** Finds programs of the service that are gone, such as an older Node. */
async function judgePrograms({ words }: InstalledPorts): Promise<Finding[]> {
  const [program = '', ...args] = words
  const script = args.find((word) => !word.startsWith('-')) ?? ''
  for (const file of [program, script])
    if (!(await exists(file).catch(() => true)))
      return [stale(`starts ${file}, which is not there`, reinstall)]
  return []
}

/** Returns the process of the daemon that runs; `null`: none does. */
async function runningDaemon({ world: { state } }: Known): Promise<number | null> {
  if (!isLocked(state, daemonLock)) return null
  return (await readRunFile(state).catch(() => null))?.pid ?? null
}

async function judgeSocket(
  socket: PortSocket,
  pid: number | null,
  { machine }: Known,
): Promise<Finding[]> {
  const { port } = socket
  const subject = `port ${port}`
  const holders = await portHolders(port)
  const [holder] = holders
  const active = await isUnitActive(machine, socket)
  if (holder === undefined)
    return [finding('port-not-listened', subject, { port, unit: socketUnit(socket) })]
  if (pid !== null && holders.some(({ pids }) => pids.includes(pid))) return []
  if (!active) {
    const { sentence } = holder
    return [finding('port-held', subject, { where: whereOf(holder, port), holder: sentence })]
  }
  return pid === null ? [] : [finding('daemon-without-port', subject, { port, pid })]
}

const whereOf = ({ address }: PortHolder, port: number): string => hostPort(address, port)
