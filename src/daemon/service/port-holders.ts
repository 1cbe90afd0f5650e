import { printable, shortened } from '../../printable.ts'
import { heldSockets } from '../../server/linux-sockets.ts'

/** A program of this machine that listens at a port, so that no other can. */
export interface PortHolder {
  readonly address: string
  /** Its processes; empty: those of another user, whose numbers this user does not learn. */
  readonly pids: readonly number[]
  /** Whom to name in a sentence, such as `nginx (process 123)` or `a program of the user 33`. */
  readonly sentence: string
}

/** The addresses at which a server keeps others from listening on loopback. */
const inTheWay = new Set(['127.0.0.1', '::1', '0.0.0.0', '::'])

/**
 * Returns who listens at a port on loopback or on every address; empty also where the system does
 * not tell.
 */
export async function portHolders(port: number): Promise<PortHolder[]> {
  const found = await listenersOf(port).catch(() => [])
  return found.filter(({ address }) => inTheWay.has(address))
}

async function listenersOf(port: number): Promise<PortHolder[]> {
  switch (process.platform) {
    case 'linux':
      return (await heldSockets(port)).map(({ localAddress: address, user, processes }) => {
        const [first] = processes
        return {
          address,
          pids: processes.map(({ pid }) => pid),
          sentence:
            first === undefined
              ? `a program of ${user === 0 ? 'root' : `the user ${user}`}`
              : nameOf(first),
        }
      })
    case 'darwin': {
      const { macosListeners } = await import('../../../platform/macos/sockets.ts')
      return (await macosListeners(port)).map(holderOf)
    }
    case 'win32': {
      const { windowsListeners } = await import('../../../platform/windows/sockets.ts')
      return (await windowsListeners(port)).map(holderOf)
    }
    default:
      return []
  }
}

const holderOf = (found: {
  readonly address: string
  readonly pid: number
  readonly program: string
}): PortHolder => ({ address: found.address, pids: [found.pid], sentence: nameOf(found) })

const nameOf = ({ pid, program }: { readonly pid: number; readonly program: string }): string =>
  program === '' ? `the process ${pid}` : `${shortened(printable(program), 60)} (process ${pid})`
