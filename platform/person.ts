import { statSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { userInfo } from 'node:os'
import path from 'node:path'
import { RootlingError } from '../src/errors.ts'
import { run } from './command.ts'
import { findProgram } from './programs.ts'

/**
 * The user for whom Rootling works: the one who runs the process, or under sudo, doas or
 * pkexec the one who typed the command.
 */
export interface Person {
  readonly name: string
  readonly uid: number
  readonly gid: number
  readonly home: string
  /** Whether the process is root because this person started it with sudo, doas or pkexec. */
  readonly viaSudo: boolean
}

type Entry = Omit<Person, 'viaSudo'>

type Environment = Readonly<Record<string, string | undefined>>

/** The variables in which sudo, pkexec and doas leave the user who called them, by UID or name. */
const claimsIn = (env: Environment): readonly string[] => [
  env['SUDO_UID'] === undefined ? 'SUDO_USER' : 'SUDO_UID',
  'PKEXEC_UID',
  'DOAS_USER',
]

/**
 * Returns the person who started this process. The variables of sudo, pkexec and doas count only
 * when the process is root, because other users can set them to anything. Throws `usage` where it is
 * unclear who the person is: the variables name different or unknown users, or the process is root
 * and HOME belongs to another user.
 */
export async function findPerson(env: Environment): Promise<Person> {
  const self = caller()
  if (self.uid === 0) {
    const entry = await claimedPerson(env)
    if (entry !== null) return { ...entry, viaSudo: true }
  }
  const home = env['HOME'] || self.homedir
  if (process.platform !== 'win32' && !path.isAbsolute(home))
    throw new RootlingError('usage', `HOME must be an absolute path, not ${home}.`, {
      hint: `export HOME=${self.homedir}`,
    })
  if (self.uid === 0) await refuseForeignHome(home, self.homedir, env)
  return { name: self.username, uid: self.uid, gid: self.gid, home, viaSudo: false }
}

/** Returns the one user, other than root, whom the variables name; `null`: they name none. */
async function claimedPerson(env: Environment): Promise<Entry | null> {
  const found: { readonly variable: string; readonly entry: Entry }[] = []
  for (const variable of claimsIn(env)) {
    const value = env[variable]
    if (value === undefined) continue
    const entry = await findUser(value, env)
    if (entry === null)
      throw new RootlingError(
        'usage',
        `${variable} is ${value || 'empty'}, and the system does not know that user.`,
        { hint: `To work for root: env -u ${variable} rootling …` },
      )
    if (entry.uid !== 0) found.push({ variable, entry })
  }
  const [first, ...others] = found
  if (first === undefined) return null
  const other = others.find(({ entry }) => entry.uid !== first.entry.uid)
  if (other === undefined) return first.entry
  throw new RootlingError(
    'usage',
    `${first.variable} names ${first.entry.name}, but ${other.variable} names ${other.entry.name}.`,
    {
      hint: `To work for ${first.entry.name}: env -u ${other.variable} rootling …. To work for ${other.entry.name}: env -u ${first.variable} rootling …`,
    },
  )
}

/**
 * Throws `usage` when HOME belongs to another user than root, whose browsers could then not read
 * what root writes. `own` is the home that the system has for root: that one is root's, whoever
 * owns it. So is one whose owner is no user that the system knows, as in containers of GitHub Actions.
 */
async function refuseForeignHome(home: string, own: string, env: Environment): Promise<void> {
  const owner = ownerOf(home) ?? 0
  if (owner === 0 || path.resolve(home) === path.resolve(own)) return
  if ((await findUser(String(owner), env)) === null) return
  throw new RootlingError(
    'usage',
    `Root runs with HOME=${home}, which belongs to the user ${owner}.`,
    {
      hint: `To work for root: HOME=${own} rootling …. To work for that user: run it as that user, or with sudo`,
    },
  )
}

/** Returns the UID of the owner of a path; `undefined`: nobody can say. */
function ownerOf(path: string): number | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false })?.uid
  } catch {
    return undefined
  }
}

/**
 * Returns the user of this process. In a container the user may be a number without a line in
 * /etc/passwd; userInfo then throws, and the number serves as the name.
 */
function caller(): { username: string; uid: number; gid: number; homedir: string } {
  try {
    return userInfo()
  } catch {
    const uid = process.geteuid?.() ?? -1
    return { username: String(uid), uid, gid: process.getegid?.() ?? -1, homedir: '/' }
  }
}

/** Returns the user of a UID or a name; `null`: there is none. */
async function findUser(user: string, env: Environment): Promise<Entry | null> {
  // A word that is no name could be an option of the programs below.
  if (!/^[^-:\s][^:\n]*$/.test(user)) return null
  const local = await readFile('/etc/passwd', 'utf8').catch(() => '')
  const found = parsePasswd(local, user)
  if (found !== null) return found
  // Users of a directory service are not in /etc/passwd; getent finds them.
  const getent = await findProgram('getent', env, true)
  if (getent !== null)
    return parsePasswd((await run(getent, ['passwd', user], { env })).stdout, user)
  // macOS keeps its users in a directory service and has no getent; its id(1) knows them.
  if (process.platform !== 'darwin') return null
  return parsePasswd((await run('/usr/bin/id', ['-P', user], { env })).stdout, user)
}

/**
 * Returns the entry of a UID or a name from lines in the format of passwd(5), or of master.passwd(5), which
 * has three more fields before the home directory; `null`: there is none.
 */
export function parsePasswd(text: string, user: string): Entry | null {
  for (const line of text.split('\n')) {
    const fields = line.split(':')
    const [name, , uid, gid] = fields
    const home = fields.at(-2)
    const isMeant = /^\d+$/.test(user) ? uid === user : name === user
    if (!isMeant || !name || !gid || !home?.startsWith('/')) continue
    return { name, uid: Number(uid), gid: Number(gid), home }
  }
  return null
}
