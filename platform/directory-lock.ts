import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { RootlingError } from '../src/errors.ts'
import { quotedPath } from '../src/shell-word.ts'

interface DirectoryLockOptions {
  /** The absolute paths of the programs that hold the lock. */
  readonly programs: { readonly flock: string; readonly sh: string }
  /** Milliseconds to wait for the lock; default: two minutes, many times what a change takes. */
  readonly waitMilliseconds?: number
  /** Called every second while another process holds the lock. */
  readonly onWait?: ((what: string, seconds: number) => void) | undefined
}

/**
 * Runs `work` while this process alone holds a kernel lock on a directory, which any user who can
 * read the directory can take: two users who change one file of the machine have no other directory
 * in common. flock(1) holds the lock, because Node cannot, and ends when this process does, in
 * whatever way. Since every user can take the lock, nobody may keep others out by it: after the wait,
 * `work` runs without it, and whoever calls asks the store what came of that.
 */
export async function withDirectoryLock<T>(
  directory: string,
  work: () => Promise<T>,
  { programs, waitMilliseconds = 120_000, onWait }: DirectoryLockOptions,
): Promise<T> {
  // The shell says that it has the lock, and keeps it until its standard input ends.
  const args = [directory, programs.sh, '-c', 'echo held; read -r end']
  const holder = spawn(programs.flock, args, {
    stdio: ['pipe', 'pipe', 'ignore'],
    cwd: '/',
    env: {},
  })
  const ended = once(holder, 'close')
  let seconds = 0
  const ticks = setInterval(() => onWait?.('another rootling', ++seconds), 1_000)
  let timer: NodeJS.Timeout | undefined
  const expired = new Promise<'expired'>((resolve) => {
    timer = setTimeout(resolve, waitMilliseconds, 'expired')
  })
  try {
    const held = once(holder.stdout, 'data').then(() => 'held' as const)
    const outcome = await Promise.race([held, expired, ended.then(() => 'ended' as const)])
    clearTimeout(timer)
    clearInterval(ticks)
    if (outcome === 'ended')
      throw new RootlingError(
        'tool-failed',
        `${programs.flock} could not lock ${quotedPath(directory)}.`,
      )
    return await work()
  } finally {
    clearTimeout(timer)
    clearInterval(ticks)
    holder.stdin.end()
    holder.kill()
    await ended.catch(() => undefined)
  }
}
