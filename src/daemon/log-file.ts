import { closeSync, fstatSync, openSync, renameSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import type { StateDirectory } from '../paths.ts'
import { readText } from '../storage/files.ts'

export const logPath = (state: StateDirectory): string => join(state.path, 'daemon.log')

/** When the file is this large it becomes `daemon.log.1`, in the place of the one before. */
const largestLog = 1024 * 1024

export interface LogFile {
  /** One line with the time; what others chose cannot make it two, or move a cursor. */
  write(line: string): void
  close(): void
}

/** The daemon's log, 0600. Written at once, so that a crash loses nothing that was said. */
export function openLogFile(state: StateDirectory, now: () => Date, limit = largestLog): LogFile {
  const path = logPath(state)
  let file = openSync(path, 'a', 0o600)
  let size = fstatSync(file).size
  return {
    write(line) {
      // oxlint-disable-next-line no-control-regex -- the point is to keep control characters out
      const text = `${now().toISOString()} ${line.replace(/[\u0000-\u001f\u007f-\u009f]+/g, ' ')}\n`
      if (size > limit) {
        closeSync(file)
        renameSync(path, `${path}.1`)
        file = openSync(path, 'a', 0o600)
        size = 0
      }
      size += writeSync(file, text)
    },
    close: () => closeSync(file),
  }
}

/** The last lines, the oldest first. */
export async function lastLines(state: StateDirectory, count: number): Promise<string[]> {
  const limit = 2 * largestLog
  const older = (await readText(`${logPath(state)}.1`, limit)) ?? ''
  const newer = (await readText(logPath(state), limit)) ?? ''
  return (older + newer).split('\n').slice(0, -1).slice(-count)
}
