import { accessSync, constants, realpathSync, statSync } from 'node:fs'
import path from 'node:path'
import { isFullPath } from '../src/full-path.ts'
import { isFile } from './file-status.ts'
import { system32 } from './windows/system-program.ts'

/**
 * The directories of the system's own programs. A user's PATH often lacks those named `sbin`; the last two
 * are NixOS's.
 */
const systemDirectories = [
  '/usr/local/sbin',
  '/usr/local/bin',
  '/usr/sbin',
  '/usr/bin',
  '/sbin',
  '/bin',
  '/run/wrappers/bin',
  '/run/current-system/sw/bin',
]

/**
 * Patterns of the variables that are passed to programs of root: none of them names a file to load.
 * Proxies are among them, for package managers.
 */
const harmless = [
  /^(?:HOME|USER|LOGNAME|TERM|TZ|LANG|LC_\w+|WSL\w*|DEBIAN_FRONTEND)$/i,
  /^SUDO_(?:UID|GID|USER)$/i,
  /^\w+_proxy$/i,
]

/**
 * Returns the environment of programs that run as root. PATH is the system's, because
 * update-ca-certificates and its hooks are shell scripts. Variables that make a shell, a loader,
 * Perl, Python or Java load a file are left out.
 */
export function rootEnvironment(
  env: Readonly<Record<string, string | undefined>>,
): Record<string, string | undefined> {
  // Windows has no root, and its programs need many variables of which there is no list.
  if (process.platform === 'win32') return { ...env }
  const kept = Object.entries(env).filter(([name]) =>
    harmless.some((pattern) => pattern.test(name)),
  )
  return { ...Object.fromEntries(kept), PATH: systemDirectories.join(':') }
}

/**
 * Returns the absolute path of a program; `null` when it is not there. With `trustedOnly`, PATH is
 * not searched, and a program that other users than root could have put there or changed is
 * refused.
 */
export async function findProgram(
  program: string,
  env: Readonly<Record<string, string | undefined>>,
  trustedOnly: boolean,
): Promise<string | null> {
  for (const candidate of programPlaces(program, env, trustedOnly)) {
    if (!(await isProgram(candidate))) continue
    if (!trustedOnly || (await isTrustedProgram(candidate))) return candidate
  }
  return null
}

/**
 * Returns the paths at which `findProgram` looks for a program, the first choice first. On Windows
 * they are those that Windows itself tries: its own programs come first, and each name ends in
 * `.exe`.
 */
export function programPlaces(
  program: string,
  env: Readonly<Record<string, string | undefined>>,
  trustedOnly: boolean,
  system: NodeJS.Platform = process.platform,
): string[] {
  const paths = system === 'win32' ? path.win32 : path.posix
  const file = system === 'win32' && !/\.exe$/i.test(program) ? `${program}.exe` : program
  if (isFullPath(program, system)) return [file]
  // A relative path would lead below each directory of PATH, or out of it.
  if (/[\\/]/.test(program)) return []
  const own = (env['PATH'] ?? '').split(paths.delimiter).filter((each) => isFullPath(each, system))
  const directories =
    system === 'win32'
      ? [system32(env), ...own]
      : trustedOnly
        ? systemDirectories
        : [...own, ...systemDirectories]
  return [...new Set(directories)].map((directory) => paths.join(directory, file))
}

async function isProgram(file: string): Promise<boolean> {
  // Asked first, since most places have no such file, and an error takes longer than the look.
  if (!(await isFile(file))) return false
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/**
 * Whether only root can change this program: the file that its links lead to, and every directory
 * above the file and above the link.
 */
export async function isTrustedProgram(program: string): Promise<boolean> {
  // On Windows Node does not know the owners of files, and no program is run as another user.
  if (process.getuid === undefined) return true
  try {
    for (const start of new Set([realpathSync.native(program), path.dirname(program)])) {
      let current = realpathSync.native(start)
      for (;;) {
        const { uid, mode } = statSync(current)
        // In a sticky directory such as /tmp nobody can replace what root owns.
        const sticky = (mode & 0o1000) !== 0 && current !== start
        if (uid !== 0 || ((mode & 0o022) !== 0 && !sticky)) return false
        if (current === path.dirname(current)) break
        current = path.dirname(current)
      }
    }
    return true
  } catch {
    return false
  }
}
