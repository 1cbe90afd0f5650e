import { constants } from 'node:fs'
import { access, realpath, stat } from 'node:fs/promises'
import path from 'node:path'
import { isFile } from './file-status.ts'

/** Where the system's own programs are; an ordinary user's PATH often lacks the `sbin` ones. */
const systemDirectories = [
  '/usr/local/sbin',
  '/usr/local/bin',
  '/usr/sbin',
  '/usr/bin',
  '/sbin',
  '/bin',
]

/**
 * The environment of what runs as root: PATH is the system's, since update-ca-certificates and its
 * hooks are shell scripts, and no variable that makes a shell, a loader, Perl, Python or Java load
 * a file comes along. Proxies do, for package managers.
 */
export function rootEnvironment(
  env: Readonly<Record<string, string | undefined>>,
): Record<string, string | undefined> {
  // Windows has no such user, and its programs need variables that have no end.
  if (process.platform === 'win32') return { ...env }
  const harmless =
    /^(?:HOME|USER|LOGNAME|SUDO_(?:UID|GID|USER)|TERM|LANG|LC_\w+|TZ|WSL\w*|\w+_proxy|DEBIAN_FRONTEND)$/i
  const kept = Object.entries(env).filter(([name]) => harmless.test(name))
  return { ...Object.fromEntries(kept), PATH: systemDirectories.join(':') }
}

/**
 * The absolute path of a program, `null` when it is not there. With `trustedOnly` PATH does not
 * count, and neither does a program that others than root could have put there or changed.
 */
export async function findProgram(
  program: string,
  env: Readonly<Record<string, string | undefined>>,
  trustedOnly: boolean,
): Promise<string | null> {
  const places = path.isAbsolute(program)
    ? [program]
    : directories(env, trustedOnly).map((directory) => path.join(directory, program))
  const candidates =
    process.platform === 'win32' ? places.flatMap((each) => [each, `${each}.exe`]) : places
  for (const candidate of candidates) {
    if (!(await isProgram(candidate))) continue
    if (!trustedOnly || (await isTrustedProgram(candidate))) return candidate
  }
  return null
}

function directories(env: Readonly<Record<string, string | undefined>>, trustedOnly: boolean) {
  if (trustedOnly && process.platform !== 'win32') return systemDirectories
  const own = (env['PATH'] ?? '').split(path.delimiter).filter((each) => path.isAbsolute(each))
  return [...new Set([...own, ...systemDirectories])]
}

async function isProgram(file: string): Promise<boolean> {
  try {
    await access(file, constants.X_OK)
    return await isFile(file)
  } catch {
    return false
  }
}

/** Whether only root could have written this program: the file behind every link, and all above it. */
export async function isTrustedProgram(program: string): Promise<boolean> {
  // Windows has no owners that Node could tell apart, and nothing is run as somebody else there.
  if (process.getuid === undefined) return true
  try {
    for (const start of new Set([await realpath(program), path.dirname(program)])) {
      let current = await realpath(start)
      for (;;) {
        const { uid, mode } = await stat(current)
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
