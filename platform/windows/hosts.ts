import { release } from 'node:os'
import { isFile } from '../file-status.ts'
import type { Machine } from '../machine.ts'
import { writeElevated } from './elevated-write.ts'
import { isWsl } from './wsl.ts'

/** The hosts file of the Windows that a Linux runs inside. */
export interface WindowsHosts {
  /** Where this Linux reads it. */
  readonly file: string
  /** Replaces the file by a program of Windows. Throws as `writeElevated` does. */
  write(machine: Machine, contents: Buffer, old: Buffer): Promise<void>
}

/** The path of the file on every Windows whose directory nobody chose. */
export const windowsHostsPath = String.raw`C:\Windows\System32\drivers\etc\hosts`
const powershellPath = String.raw`C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe`

/**
 * Returns the hosts file that the browsers of Windows read, where this Linux runs in WSL. `absent`:
 * this is not WSL; `unreached`: it is, but its Windows is not mounted.
 */
export async function findWindowsHosts(
  machine: Machine,
  kernel: string = release(),
): Promise<WindowsHosts | 'absent' | 'unreached'> {
  if (!isWsl(machine, kernel)) return 'absent'
  const wslpath = await machine.find('wslpath')
  if (wslpath === null) return 'unreached'
  const pathOf = async (path: string): Promise<string | null> => {
    const { exitCode, stdout } = await machine.query(wslpath, ['-u', path])
    const found = stdout.trim()
    return exitCode === 0 && (await isFile(found)) ? found : null
  }
  const file = await pathOf(windowsHostsPath)
  const powershell = await pathOf(powershellPath)
  if (file === null || powershell === null) return 'unreached'
  return {
    file,
    write: (by, contents, old) =>
      writeElevated(by, powershell, { file: windowsHostsPath, contents, old }),
  }
}
