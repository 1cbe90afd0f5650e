import { readdirSync, readFileSync } from 'node:fs'
import { release } from 'node:os'
import { join } from 'node:path'
import { RootlingError } from '../../src/errors.ts'
import { expectSuccess } from '../command.ts'
import { isFile } from '../file-status.ts'
import type { Machine } from '../machine.ts'
import { readStart } from '../read-start.ts'
import type { WindowsSide } from './root.ts'

/** Whether this Linux runs inside Windows, as WSL's variables or the name of the kernel tell. */
export function isWsl({ env }: Pick<Machine, 'env'>, kernel: string = release()): boolean {
  const exported = Boolean(env['WSL_DISTRO_NAME']) || Boolean(env['WSL_INTEROP'])
  return exported || /microsoft/i.test(kernel)
}

/** Where Linux lists what runs the programs of other systems (binfmt_misc). */
const interpreters = '/proc/sys/fs/binfmt_misc'

/**
 * Returns the Windows that this Linux runs inside, where the browser is; `null`: this is not WSL,
 * or its Windows cannot be reached (its drives are not mounted, or its programs do not run here).
 */
export async function findWindowsOutside(
  machine: Machine,
  kernel: string = release(),
  directory: string = interpreters,
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
    if (result.exitCode !== 0 || !(await isFile(file))) return null
    return !(await isOfWindows(file)) || runsWindows(directory) ? file : null
  }
}

/** Also a program that cannot be read, as on a drive that lets nobody in. */
async function isOfWindows(program: string): Promise<boolean> {
  const start = await readStart(program, 2)
  return start === null || start.toString('latin1') === 'MZ'
}

/**
 * Whether WSL's interop is on, which can be turned off in /etc/wsl.conf. Where nothing is registered
 * for a program of Windows, `execvp` would have /bin/sh read it as a script; and Wine, which registers
 * itself for such programs too, has stores of its own.
 */
function runsWindows(directory: string): boolean {
  const said = (name: string): string => readFileSync(join(directory, name), 'utf8')
  try {
    const names = readdirSync(directory).filter((name) => !['register', 'status'].includes(name))
    if (!/^enabled$/m.test(said('status'))) return false
    return names
      .map(said)
      .some((text) =>
        [/^enabled$/m, /^interpreter \/init$/m, /^magic 4d5a/m].every((line) => line.test(text)),
      )
  } catch {
    return false
  }
}
