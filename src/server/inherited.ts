import { fstatSync } from 'node:fs'
import { RootlingError } from '../errors.ts'
import { printable } from '../printable.ts'

/** SD_LISTEN_FDS_START of sd_listen_fds(3). */
const firstDescriptor = 3

/** More sockets than this are taken for an error. */
const mostSockets = 64

/** The variables of sd_listen_fds(3); LISTEN_PIDFDID since systemd 259. */
const variables = ['LISTEN_PID', 'LISTEN_PIDFDID', 'LISTEN_FDS', 'LISTEN_FDNAMES']

/**
 * Returns the descriptors of sockets that a service manager bound and handed to this process, as
 * sd_listen_fds_with_names(3) does, by their names. One name may have several sockets, such as one
 * of IPv4 and one of IPv6. Empty: none was handed over, or the variables are meant for another
 * process, from which this one has them. The variables are deleted from `env`, so that children do
 * not get them; Node itself keeps the descriptors from children. Throws `listen-failed` when the
 * variables contradict themselves, or a descriptor is no socket.
 */
export function inheritedSockets(
  env: Record<string, string | undefined> = process.env,
): ReadonlyMap<string, readonly number[]> {
  const { LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES } = env
  for (const name of variables) delete env[name]
  if (LISTEN_PID !== String(process.pid) || LISTEN_FDS === undefined) return new Map()
  const count = /^[1-9]\d{0,3}$/.test(LISTEN_FDS) ? Number(LISTEN_FDS) : 0
  if (count === 0 || count > mostSockets)
    throw broken(`LISTEN_FDS is ${shown(LISTEN_FDS)}, not between 1 and ${mostSockets}.`)
  const names = LISTEN_FDNAMES?.split(':') ?? Array.from({ length: count }, () => 'unknown')
  if (names.length !== count)
    throw broken(`LISTEN_FDNAMES has ${names.length} names for ${count} sockets.`)
  const found = new Map<string, number[]>()
  for (const [index, name] of names.entries()) {
    const descriptor = firstDescriptor + index
    if (!isSocket(descriptor)) throw broken(`The descriptor ${descriptor} is no socket.`)
    found.set(name, [...(found.get(name) ?? []), descriptor])
  }
  return found
}

function isSocket(descriptor: number): boolean {
  try {
    return fstatSync(descriptor).isSocket()
  } catch {
    return false
  }
}

const shown = (text: string): string => JSON.stringify(printable(text.slice(0, 40)))

const broken = (sentence: string): RootlingError =>
  new RootlingError('listen-failed', sentence, {
    hint: 'The service manager sets it: see sd_listen_fds(3)',
  })
