import { constants } from 'node:fs'
import { open, stat, type FileHandle } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { RootlingError } from '../errors.ts'
import type { StateDirectory } from '../paths.ts'
import { makePrivateDirectory, shellWord, unwritable, writeFileAtomic } from './files.ts'

const requireNative = createRequire(import.meta.url)

export interface LockOptions {
  /** The lock's file in the state directory; one name is one lock. */
  readonly name?: string
  readonly waitMilliseconds?: number
}

/**
 * Runs `work` while this process alone holds a kernel lock in the state directory, which ends
 * with its holder however it dies. Creates the directory. Throws `locked` after the wait.
 */
export async function withLock<T>(
  state: StateDirectory,
  work: () => Promise<T>,
  { name = 'lock', waitMilliseconds = 30_000 }: LockOptions = {},
): Promise<T> {
  const deadline = performance.now() + waitMilliseconds
  for (;;) {
    await prepare(state)
    const path = join(state.path, name)
    const handle = await openLock(path, state)
    try {
      await acquire(handle, path, deadline, waitMilliseconds)
      // `uninstall --delete-ca` takes the whole directory away: a lock on that file locks nothing.
      if (await isStill(handle, path)) return await work()
    } finally {
      await handle.close()
    }
  }
}

async function isStill(handle: FileHandle, path: string): Promise<boolean> {
  const [held, there] = await Promise.all([handle.stat(), stat(path).catch(() => null)])
  return there !== null && held.ino === there.ino && held.dev === there.dev
}

async function prepare(state: StateDirectory): Promise<void> {
  await makePrivateDirectory(state.path, state.owner)
  await refuseSharedDirectory(state.path)
}

/** Throws `loose-key` when others can write where the keys are, since they could swap them. */
async function refuseSharedDirectory(path: string): Promise<void> {
  if (process.platform === 'win32') return
  const { mode } = await stat(path)
  if ((mode & 0o022) !== 0)
    throw new RootlingError('loose-key', `Others can write to the state directory ${path}.`, {
      hint: `chmod 700 ${shellWord(path)}`,
    })
}

async function openLock(path: string, state: StateDirectory): Promise<FileHandle> {
  try {
    const flags = constants.O_RDWR | constants.O_CREAT | (constants.O_NOFOLLOW ?? 0)
    const handle = await open(path, flags, 0o600)
    if (state.owner !== null) await handle.chown(state.owner.uid, state.owner.gid)
    return handle
  } catch (error) {
    throw unwritable(path, error)
  }
}

async function acquire(
  handle: FileHandle,
  path: string,
  deadline: number,
  waitMilliseconds: number,
): Promise<void> {
  const native = requireNative('fs-native-extensions') as { tryLock(fd: number): boolean }
  for (let pause = 2; !native.tryLock(handle.fd); pause = Math.min(pause * 2, 50)) {
    if (performance.now() > deadline) {
      const seconds = Math.round(waitMilliseconds / 1000)
      throw new RootlingError('locked', `Another rootling has held ${path} for ${seconds} s.`, {
        hint: 'Wait for it, or end it; the lock ends with its process',
      })
    }
    await sleep(pause)
  }
}

/** Tells backup programs to leave the keys out (https://bford.info/cachedir/). */
export async function markAsCache(state: StateDirectory): Promise<void> {
  const data =
    'Signature: 8a477f597d28d172789f06886806bc55\n# Keys of a local development CA: not for backups.\n'
  await writeFileAtomic(join(state.path, 'CACHEDIR.TAG'), { data, mode: 0o644 }, state.owner)
}
