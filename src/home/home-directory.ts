import { readFileSync, statSync } from 'node:fs'
import { homedir, userInfo } from 'node:os'
import { isAbsolute, join, relative, resolve, sep } from 'node:path'
import { RootlingError } from '../errors.ts'
import { hasCode } from '../files/errors.ts'
import { nearestExisting } from '../files/exists.ts'
import { quotedPath, shellWord } from '../shell-word.ts'

type Environment = Readonly<Record<string, string | undefined>>

/**
 * Returns the user's home directory: HOME, or where HOME is not set the one that the system knows;
 * in a strict snap, the home outside of it. Throws `usage` where there is none, or where it is not a
 * directory of one user.
 */
export function homeDirectory(env: Environment = process.env): string {
  if (process.platform === 'win32') return homedir()
  const home = homeOutsideSnap(env) ?? env['HOME'] ?? passwdHome()
  if (home === null)
    throw refusal(
      `The user ${process.geteuid?.()} has no home directory: HOME is not set, and the system does not know this user.`,
    )
  if (home === '') throw refusal('HOME is empty.')
  if (!isAbsolute(home)) throw refusal(`HOME must be an absolute path, not ${home}.`)
  if (resolve(home) === '/')
    throw refusal(`The home directory is ${home}, which is not a directory of one user.`)
  return home
}

/**
 * Returns the user's home directory for a program in a strict snap, where snapd sets HOME to the
 * directory of one revision of that snap, such as ~/snap/code/42, and SNAP_REAL_HOME to the home
 * (https://snapcraft.io/docs/environment-variables). `null`: HOME is no such directory.
 */
export function homeOutsideSnap(env: Environment): string | null {
  const home = env['HOME'] ?? ''
  if (!home.includes('/snap/')) return null
  const real = [env['SNAP_REAL_HOME'], passwdHome()]
  return real.find((each) => isOfSnap(home, each ?? '')) ?? null
}

/** Returns the home directory that the system has for this user, whatever HOME says. */
export function passwdHome(): string | null {
  try {
    return userInfo().homedir
  } catch {
    // In a container the user may be a number without a line in /etc/passwd.
    return null
  }
}

function refusal(sentence: string): RootlingError {
  const known = usableHome()
  const hint = known === null ? chooseStateDirectory : `export HOME=${shellWord(known)}`
  return new RootlingError('usage', sentence, { hint })
}

const chooseStateDirectory =
  'export ROOTLING_HOME=DIRECTORY, with the absolute path of a directory that you can write to'

/** Returns the home directory that the system has for this user, if HOME may be set to it. */
function usableHome(): string | null {
  const home = passwdHome()
  if (home === null || !isAbsolute(home) || resolve(home) === '/') return null
  const info = statSync(home, { throwIfNoEntry: false })
  return info?.isDirectory() === true && info.uid === process.geteuid?.() ? home : null
}

/**
 * Throws `usage` when root would write below a directory of another user, as with HOME=/home/ada:
 * whether it works for root or for that user is not clear, and that user could not read the files.
 * An owner whom the system does not know is no such user: GitHub Actions mounts a HOME of the host's
 * user into containers in which only root is known.
 */
export async function refuseForeignDirectory(path: string): Promise<void> {
  if (process.geteuid?.() !== 0) return
  const directory = nearestExisting(path)
  const { uid } = statSync(directory)
  if (uid === 0 || !(await isKnownUser(uid))) return
  const known = usableHome()
  throw new RootlingError(
    'usage',
    `Root would write to ${quotedPath(path)}, but ${quotedPath(directory)} belongs to the user ${uid}.`,
    {
      hint:
        known === null
          ? chooseStateDirectory
          : `To work for root: env -u XDG_DATA_HOME HOME=${shellWord(known)} rootling …. To work for that user: run it as that user`,
    },
  )
}

/** Whether the system knows a user, in /etc/passwd or by a directory service. */
async function isKnownUser(uid: number): Promise<boolean> {
  // macOS keeps its users elsewhere, and has no containers.
  if (process.platform === 'darwin') return true
  const { execFileSync } = await import('node:child_process')
  try {
    const lines = readFileSync('/etc/passwd', 'utf8').split('\n')
    if (lines.some((line) => line.split(':')[2] === String(uid))) return true
    execFileSync('/usr/bin/getent', ['passwd', String(uid)], { stdio: 'ignore', timeout: 10_000 })
    return true
  } catch (error) {
    // getent ends with 2 for an unknown user; a system without it has no directory service.
    return (
      !hasCode(error, 'ENOENT') &&
      !(error instanceof Error && 'status' in error && error.status === 2)
    )
  }
}

/**
 * Returns a directory of the XDG specification that a variable names; `null`: the variable does not
 * count. It does not when it is relative, or when a terminal inside a snap set it to a directory of
 * that snap, such as ~/snap/code/42/.local/share: other terminals and browsers do not look there.
 */
export function xdgDirectory(
  variable: 'XDG_DATA_HOME' | 'XDG_CONFIG_HOME',
  env: Environment,
): string | null {
  const directory = env[variable] ?? ''
  if (!isAbsolute(directory)) return null
  const homes = [env['SNAP_REAL_HOME'], env['HOME'], passwdHome()]
  return homes.some((home) => isOfSnap(directory, home ?? '')) ? null : directory
}

/** Whether a directory is below `~/snap/NAME/REVISION`. */
function isOfSnap(directory: string, home: string): boolean {
  if (!isAbsolute(home)) return false
  const [name = '', revision = ''] = relative(join(home, 'snap'), directory).split(sep)
  return name !== '' && name !== '..' && /^(?:x?\d+|current|common)$/.test(revision)
}
