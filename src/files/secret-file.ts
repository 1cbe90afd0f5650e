import { closeSync, fstatSync, lstatSync, readFileSync, readlinkSync, type Stats } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { RootlingError } from '../errors.ts'
import { quotedPath, shellWord } from '../shell-word.ts'
import { hasCode, unreadable } from './errors.ts'
import { openNoFollow, textOf } from './read.ts'

/** The octets of the longest secret, such as a passphrase with notes below it. */
const longest = 64 * 1024

/** A chain of more links leads in a circle, or astray. */
const mostLinks = 8

/**
 * Reads a file with a secret that an administrator or a container's runtime put there, as text;
 * `null`: it is absent. A symbolic link is followed where this user or root owns it, since Kubernetes
 * mounts secrets behind links. The file may be:
 *
 * - this user's own, which nobody else can read (0600 or less);
 * - root's, which one of this user's groups may read too (0640 or less), as PostgreSQL has it and as a
 *   volume with `fsGroup` is;
 * - root's with any mode that others may not write, on a tmpfs that is mounted read-only: that is how
 *   Kubernetes and Docker give a secret to one container, and whoever is in there.
 *
 * Throws `loose-key` for any other, and `file-unreadable`, also for a link of another user.
 */
export function readSecretText(path: string): string | null {
  const target = process.platform === 'win32' ? path : followOwnLinks(path)
  const file = target === null ? null : openNoFollow(target)
  if (file === null) return null
  try {
    const stats = fstatSync(file)
    if (!stats.isFile())
      throw new RootlingError('file-unreadable', `${quotedPath(path)} is not a regular file.`, {
        hint: 'Name the file that holds the secret',
      })
    if (process.platform !== 'win32') refuseLoose(path, stats, () => isHandedOver(file))
    if (stats.size <= longest) return textOf(readFileSync(file))
    throw new RootlingError(
      'file-unreadable',
      `${quotedPath(path)} is larger than ${longest} bytes.`,
      { hint: 'The secret is its first line: put nothing else there' },
    )
  } finally {
    closeSync(file)
  }
}

/** Returns the path of the file that links lead to; `null`: there is none. */
function followOwnLinks(path: string): string | null {
  let at = path
  for (let followed = 0; followed <= mostLinks; followed++) {
    const stats = lstat(at)
    if (stats === null) return null
    if (!stats.isSymbolicLink()) return at
    // Who owns a link can have it lead to another file of this user, such as one with a known first line.
    if (stats.uid !== 0 && stats.uid !== process.geteuid?.())
      throw new RootlingError(
        'file-unreadable',
        `${quotedPath(at)} is a symbolic link of another user, who may lead it elsewhere.`,
        { hint: 'Name the file itself, or have root own the link' },
      )
    at = resolve(dirname(at), readlinkSync(at))
  }
  throw new RootlingError(
    'file-unreadable',
    `${quotedPath(path)} leads through more than ${mostLinks} links.`,
    { hint: 'Name the file itself' },
  )
}

function lstat(path: string): Stats | null {
  try {
    return lstatSync(path)
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return null
    throw unreadable(path, error)
  }
}

function refuseLoose(path: string, { uid, gid, mode }: Stats, isHandedOver: () => boolean): void {
  const own = process.geteuid?.()
  const isOwn = uid === own
  if (!isOwn && uid !== 0)
    throw new RootlingError(
      'loose-key',
      `The secret ${quotedPath(path)} belongs to another user (uid ${uid}), who can change it.`,
      { hint: `sudo chown ${own} ${shellWord(path)}` },
    )
  if (isOwn && (mode & 0o077) === 0) return
  const isOfGroup = process.getegid?.() === gid || process.getgroups?.().includes(gid) === true
  if (uid === 0 && (mode & 0o037) === 0 && isOfGroup) return
  if (uid === 0 && (mode & 0o022) === 0 && isHandedOver()) return
  const shown = (mode & 0o777).toString(8).padStart(4, '0')
  throw new RootlingError(
    'loose-key',
    `Others can read the secret ${quotedPath(path)} (mode ${shown}), and it is not on a read-only tmpfs of root's.`,
    {
      hint: `chmod ${isOwn ? '600' : '640'} ${shellWord(path)}; in Kubernetes defaultMode: 0400, with fsGroup where the server is not root`,
    },
  )
}

/**
 * Whether an open file lies on a tmpfs that is mounted read-only. A file system that this process or
 * another one can write to is none that a container's runtime fills before the container starts, and on
 * one that keeps its files, other users of the host may read them. Only Linux has such mounts.
 */
function isHandedOver(file: number): boolean {
  try {
    const id = /^mnt_id:\s*(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${file}`, 'latin1'))?.[1]
    if (id === undefined) return false
    // proc_pid_mountinfo(5): ID, parent, device, root, mount point, options, …, -, type, source, options.
    const line = readFileSync('/proc/self/mountinfo', 'latin1')
      .split('\n')
      .find((one) => one.startsWith(`${id} `))
    const options = line?.split(' ')[5]?.split(',') ?? []
    const type = line?.split(' - ')[1]?.split(' ')[0] ?? ''
    return options.includes('ro') && ['tmpfs', 'ramfs'].includes(type)
  } catch {
    // Where /proc is not mounted, nothing is known of mounts.
    return false
  }
}
