// The TCP sockets of this Linux, for the simulators of programs that list sockets elsewhere. Sources:
// proc_pid_net(5), and proc_pid_fd(5) for the process that holds a socket.
import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs'
import { endianness } from 'node:os'

/** Each with `family` 4 or 6, `local` and `remote` (address, port), `state` as Linux names it, `process`. */
export function socketsOfLinux() {
  const processes = holders()
  return [4, 6].flatMap((family) => {
    const lines = readFileSync(`/proc/net/tcp${family === 6 ? '6' : ''}`, 'latin1').split('\n')
    return lines.slice(1, -1).flatMap((line) => {
      const [, local, remote, state, , , , , , inode] = line.trim().split(/\s+/)
      const process = processes.get(inode)
      if (process === undefined) return []
      return [{ family, local: endpoint(local), remote: endpoint(remote), state, process }]
    })
  })
}

/** The uid of a process, and when it began as a Date. */
export function processOfLinux(number) {
  try {
    const { uid, ctime } = statSync(`/proc/${number}`)
    return { uid, began: ctime }
  } catch {
    return null
  }
}

function holders() {
  const found = new Map()
  for (const number of readdirSync('/proc').filter((name) => /^\d+$/.test(name)))
    for (const link of linksOf(`/proc/${number}/fd`)) {
      const inode = /^socket:\[(\d+)\]$/.exec(link)?.[1]
      if (inode !== undefined) found.set(inode, number)
    }
  return found
}

function linksOf(directory) {
  try {
    return readdirSync(directory).flatMap((name) => {
      try {
        return [readlinkSync(`${directory}/${name}`)]
      } catch {
        return []
      }
    })
  } catch {
    return []
  }
}

function endpoint(text) {
  const [address, port] = text.split(':')
  const octets = Buffer.from(address, 'hex')
  if (endianness() === 'LE') octets.swap32()
  return { address: textOf(octets), port: Number.parseInt(port, 16) }
}

/** The text of an address; of IPv6 as URLs have it, without brackets. */
function textOf(octets) {
  if (octets.length === 4) return octets.join('.')
  const groups = octets.toString('hex').match(/.{4}/g).join(':')
  return new URL(`http://[${groups}]`).hostname.slice(1, -1)
}
