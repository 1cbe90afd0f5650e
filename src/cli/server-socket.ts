import { join, resolve } from 'node:path'
import type { Context } from './context.ts'

/** Returns the path of the socket on which a team's server listens for its administrator. */
export const serverSocket = (
  { socket }: { readonly socket?: string | undefined },
  { cwd, state }: Pick<Context, 'cwd' | 'state'>,
): string =>
  socket === undefined ? join(state.path, 'server', 'admin.sock') : resolve(cwd, socket)
