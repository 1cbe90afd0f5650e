import { release } from 'node:os'
import { RootlingError } from '../../src/errors.ts'
import { expectSuccess } from '../command.ts'
import { isFile } from '../file-status.ts'
import type { Machine } from '../machine.ts'
import type { WindowsSide } from './root.ts'

/** Whether this Linux runs inside Windows, as WSL's variables or the name of the kernel tell. */
export function isWsl({ env }: Pick<Machine, 'env'>, kernel: string = release()): boolean {
  const exported = Boolean(env['WSL_DISTRO_NAME']) || Boolean(env['WSL_INTEROP'])
  return exported || /microsoft/i.test(kernel)
}

/**
 * Returns the Windows that this Linux runs inside, where the browser is; `null`: this is not WSL,
 * or its Windows cannot be reached (its drives are not mounted).
 */
export async function findWindowsOutside(
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
    // The programs were found above. Machine.find cannot check them: when root runs it, it accepts
    // only root's own programs, and files on a Windows drive do not count as root's.
    isThere: async () => true,
    async toWindowsPath(file) {
      // wslpath refuses a file that does not exist yet, so it converts the directory of the file.
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
