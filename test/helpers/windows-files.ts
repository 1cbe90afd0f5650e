import fs, { fstatSync, readdirSync, readlinkSync } from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { sep } from 'node:path'
import { onTestFinished } from 'vitest'

/** What a rename is refused with: while another program, such as a virus scanner, reads the file. */
type Refusal = 'EPERM' | 'EACCES' | 'EBUSY'

interface WindowsFiles {
  /** Has the next renames that end at such a path fail, as many times as asked. */
  refuse(path: RegExp, code: Refusal, times: number): void
}

/**
 * Makes the files of this process as strict as those of Windows until the test ends:
 *
 * - A rename over a file that is open is refused with EPERM, and so is one of a directory that an open
 *   file lies in (MoveFileEx with MOVEFILE_REPLACE_EXISTING answers ERROR_ACCESS_DENIED, which libuv
 *   translates to EPERM; documentation of FILE_RENAME_INFORMATION, "ReplaceIfExists" and "a directory
 *   cannot be renamed if it or any of its subdirectories contains a file with open handles").
 * - `stat` of a path knows no device, while `fstat` does (https://github.com/libuv/libuv/issues/4698).
 */
export function likeWindows(): WindowsFiles {
  const { renameSync, statSync } = fs
  let refusal = { path: /(?!)/, code: 'EPERM' as Refusal, times: 0 }
  const fail = (code: Refusal, from: string, to: string): never => {
    throw Object.assign(new Error(`${code}: rename '${from}' -> '${to}'`), { code })
  }
  const strictRename: typeof renameSync = (from, to) => {
    const [source, target] = [String(from), String(to)]
    if (refusal.times > 0 && refusal.path.test(target)) {
      refusal.times--
      fail(refusal.code, source, target)
    }
    for (const open of openPaths())
      if (open === target || open.startsWith(source + sep)) fail('EPERM', source, target)
    renameSync(from, to)
  }
  const deviceless = ((path: fs.PathLike, options?: fs.StatSyncOptions) => {
    const found = statSync(path, options)
    if (found !== undefined && options?.bigint !== true) (found as fs.Stats).dev = 0
    return found
  }) as typeof statSync
  Object.assign(fs, { renameSync: strictRename, statSync: deviceless })
  syncBuiltinESMExports()
  onTestFinished(() => {
    Object.assign(fs, { renameSync, statSync })
    syncBuiltinESMExports()
  })
  return { refuse: (path, code, times) => void (refusal = { path, code, times }) }
}

/** Returns the paths of the regular files that this process has open. */
function openPaths(): string[] {
  return readdirSync('/proc/self/fd').flatMap((descriptor) => {
    try {
      const path = readlinkSync(`/proc/self/fd/${descriptor}`)
      return fstatSync(Number(descriptor)).isFile() ? [path] : []
    } catch {
      return []
    }
  })
}

/** Has this process say that it runs on Windows, until the test ends. */
export function callItWindows(): void {
  const { platform } = process
  Object.defineProperty(process, 'platform', { value: 'win32' })
  onTestFinished(() => void Object.defineProperty(process, 'platform', { value: platform }))
}
