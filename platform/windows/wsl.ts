import { release } from 'node:os'
import { RootlingError } from '../../src/errors.ts'
import { expectSuccess } from '../command.ts'
import { isFile } from '../file-status.ts'
import type { Machine } from '../machine.ts'
import type { WindowsSide } from './root.ts'

/** Whether this Linux runs inside Windows: by what WSL exports, else by the kernel's name. */
export function isWsl({ env }: Machine, kernel: string = release()): boolean {
  const exported = Boolean(env['WSL_DISTRO_NAME']) || Boolean(env['WSL_INTEROP'])
  return exported || /microsoft/i.test(kernel)
}

/**
 * The Windows around this Linux, where the browser runs; `null`: this is no WSL, or its Windows
 * cannot be reached (its drives are not mounted).
 */
export async function findWindowsAround(
  machine: Machine,
  kernel: string = release(),
): Promise<WindowsSide | null> {
  if (!isWsl(machine, kernel)) return null
  const found = await machine.find('wslpath')
  if (found === null) return null
  const wslpath = found

  const certutil = await pathOf('certutil.exe')
  const whoami = await pathOf('whoami.exe')
  if (certutil === null || whoami === null) return null
  return {
    title: 'Windows root store (around WSL)',
    certutil,
    whoami,
    // Found above: where root runs, no program on a drive of Windows passes for root's own.
    isThere: async () => true,
    async toWindowsPath(file) {
      // wslpath refuses a file that is not there yet; its directory is.
      const slash = file.lastIndexOf('/')
      const result = await machine.query(wslpath, ['-w', file.slice(0, slash) || '/'])
      const directory = expectSuccess('wslpath', result).stdout.trim()
      if (directory === '') throw new RootlingError('tool-failed', `wslpath knows no ${file}.`)
      return `${directory.replace(/\\$/, '')}\\${file.slice(slash + 1)}`
    },
  }

  async function pathOf(program: string): Promise<string | null> {
    const result = await machine.query(wslpath, ['-u', `C:\\Windows\\System32\\${program}`])
    const file = result.stdout.trim()
    return result.exitCode === 0 && (await isFile(file)) ? file : null
  }
}
