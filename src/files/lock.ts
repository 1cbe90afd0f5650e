import { closeSync, constants, fchownSync, openSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { RootlingError } from '../errors.ts'
import { asOwner } from './as-owner.ts'
import { hasCode, unwritable } from './errors.ts'
import { existsSync } from './exists.ts'
import type { Directory } from './owner.ts'
import { isStandalone, loadPacked } from './packed.ts'
import { openPortableLock, type LockFile } from './portable-lock.ts'
import { makePrivateDirectory } from './private-directory.ts'
import { leadsTo } from './same-file.ts'
import { refuseSharedDirectory } from './shared-directory.ts'
import { quotedPath } from '../shell-word.ts'

export interface LockOptions {
  /** The lock's file in the state directory; one name is one lock. */
  readonly name?: string
  readonly waitMilliseconds?: number
}

/**
 * Runs `work` while this process alone holds a kernel lock in the state directory. The kernel
 * releases the lock when the process ends, in whatever way. Creates the directory. Throws `locked`
 * when another process holds the lock for longer than the wait, and `loose-key` for a directory in
 * which another user could replace the files.
 */
export async function withLock<T>(
  state: Directory,
  work: () => Promise<T>,
  { name = 'lock', waitMilliseconds = 30_000 }: LockOptions = {},
): Promise<T> {
  const deadline = monotonic() + waitMilliseconds
  for (;;) {
    await prepare(state)
    const path = join(state.path, name)
    const file = openLock(path, state)
    try {
      await acquire(file, path, deadline, waitMilliseconds)
      // `uninstall --delete-ca` may have deleted the directory: the lock on a deleted file keeps
      // nobody out.
      if (file.isInPlace()) return await work()
    } finally {
      file.close()
    }
    if (monotonic() > deadline)
      throw new RootlingError('locked', `${quotedPath(path)} is replaced again and again.`, {
        hint: 'End the program that deletes or replaces it',
      })
  }
}

/** Whether a process holds the lock now. Asking does not disturb that process. */
export function isLocked(state: Directory, name: string): boolean {
  const path = join(state.path, name)
  if (!existsSync(path)) return false
  const file = openLock(path, state, { exclusive: false })
  try {
    return !file.tryLock()
  } finally {
    file.close()
  }
}

async function prepare(state: Directory): Promise<void> {
  await makePrivateDirectory(state.path, state.owner)
  await refuseSharedDirectory(state)
}

/**
 * Opens the file of a lock, and creates it where it is absent. What is not `exclusive` only asks
 * whether another one has the lock.
 */
function openLock(path: string, state: Directory, { exclusive } = { exclusive: true }): LockFile {
  native ??= loadNative()
  if (native === 'none') return openPortableLock(path, state.owner)
  const addon = native
  const file = openNative(path, state)
  return {
    tryLock() {
      try {
        addon.tryLock(file, 0, 0, exclusive)
        return true
      } catch (error) {
        if (hasCode(error, 'EAGAIN')) return false
        throw error
      }
    },
    isInPlace: () => leadsTo(path, file),
    close: () => closeSync(file),
  }
}

function openNative(path: string, state: Directory): number {
  try {
    const flags = constants.O_RDWR | constants.O_CREAT | (constants.O_NOFOLLOW ?? 0)
    const file = asOwner(state.owner, () => openSync(path, flags, 0o600))
    if (state.owner !== null) fchownSync(file, state.owner.uid, state.owner.gid)
    return file
  } catch (error) {
    throw unwritable(path, error)
  }
}

async function acquire(
  file: LockFile,
  path: string,
  deadline: number,
  waitMilliseconds: number,
): Promise<void> {
  for (let pause = 2; !file.tryLock(); pause = Math.min(pause * 2, 50)) {
    if (monotonic() > deadline) {
      const seconds = Math.round(waitMilliseconds / 1000)
      throw new RootlingError(
        'locked',
        `Another rootling has held ${quotedPath(path)} for ${seconds} s.`,
        {
          hint: 'Wait for it, or end it; the lock ends with its process',
        },
      )
    }
    await new Promise((resolve) => setTimeout(resolve, pause))
  }
}

/**
 * The time of a clock that is never set, in milliseconds. `performance` would load a module, which
 * costs each command a millisecond.
 */
const monotonic = (): number => Number(process.hrtime.bigint() / 1_000_000n)

interface NativeLock {
  /**
   * Throws EAGAIN where another process holds the lock. A length of 0 means up to the end of the
   * file.
   */
  tryLock(fd: number, offset: number, length: number, exclusive: boolean): void
}

/** `none`: the add-on does not run here. */
let native: NativeLock | 'none' | undefined

/**
 * Loads the prebuilt binary of fs-native-extensions by its path: the package's own search, which is
 * used only where that fails, takes 6 ms of each command. In Deno, and in Bun before 1.4, the binary
 * loads, but its first call ends the process, for want of functions of libuv. The single executable
 * looks for no file, which somebody else may have put there.
 */
function loadNative(): NativeLock | 'none' {
  if ('deno' in process.versions || 'bun' in process.versions) return 'none'
  if (isStandalone()) return (loadPacked('lock.node') as NativeLock | null) ?? 'none'
  const requireNative = createRequire(import.meta.filename)
  const { platform, arch } = process
  const prebuilt = `fs-native-extensions/prebuilds/${platform}-${arch}/fs-native-extensions.node`
  try {
    return requireNative(prebuilt) as NativeLock
  } catch {
    try {
      return requireNative('fs-native-extensions/binding') as NativeLock
    } catch {
      return 'none'
    }
  }
}
