import type { StateDirectory } from '../../home/state-directory.ts'
import { linuxSockets } from '../../server/linux-sockets.ts'
import { createSocketOwners, type SocketOwners } from '../../server/socket-owner.ts'

/**
 * Returns what tells sockets of this process's user, of the state directory's owner and of root from
 * those of other users; `null`: the system has nothing that tells.
 */
export async function findSocketOwners(state: StateDirectory): Promise<SocketOwners | null> {
  const ours = [0, process.getuid?.() ?? 0, state.owner?.uid ?? 0]
  switch (process.platform) {
    case 'linux':
      return createSocketOwners(linuxSockets, ours)
    case 'darwin': {
      const { macosSockets } = await import('../../../platform/macos/sockets.ts')
      return createSocketOwners(macosSockets(), ours)
    }
    case 'win32': {
      const { windowsSockets, windowsOwners } = await import('../../../platform/windows/sockets.ts')
      return createSocketOwners(windowsSockets(), windowsOwners)
    }
    default:
      return null
  }
}
