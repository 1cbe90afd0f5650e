import { readFile } from 'node:fs/promises'
import { userInfo } from 'node:os'
import { run } from './command.ts'
import { findProgram } from './programs.ts'

/**
 * The user for whom Rootling works: the one who runs the process, or under sudo the one who typed
 * the command.
 */
export interface Person {
  readonly name: string
  readonly uid: number
  readonly gid: number
  readonly home: string
  /** Whether the process is root because this person started it with sudo. */
  readonly viaSudo: boolean
}

type Environment = Readonly<Record<string, string | undefined>>

/**
 * Returns the person who started this process. SUDO_UID counts only when the process is root,
 * because other users can set it to anything.
 */
export async function findPerson(env: Environment): Promise<Person> {
  const self = caller()
  const sudoUid = env['SUDO_UID'] ?? ''
  if (self.uid === 0 && /^[1-9]\d{0,9}$/.test(sudoUid)) {
    const entry = await findUser(sudoUid, env)
    if (entry !== null) return { ...entry, viaSudo: true }
  }
  return {
    name: self.username,
    uid: self.uid,
    gid: self.gid,
    home: env['HOME'] || self.homedir,
    viaSudo: false,
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

async function findUser(uid: string, env: Environment) {
  const local = await readFile('/etc/passwd', 'utf8').catch(() => '')
  const found = parsePasswd(local, uid)
  if (found !== null) return found
  // Users of a directory service are not in /etc/passwd; getent finds them.
  const getent = await findProgram('getent', env, true)
  if (getent !== null) return parsePasswd((await run(getent, ['passwd', uid], { env })).stdout, uid)
  // macOS keeps its users in a directory service and has no getent; its id(1) knows them.
  if (process.platform !== 'darwin') return null
  return parsePasswd((await run('/usr/bin/id', ['-P', uid], { env })).stdout, uid)
}

/**
 * Returns the entry of a user from lines in the format of passwd(5), or of master.passwd(5), which
 * has three more fields before the home directory; `null`: there is none.
 */
export function parsePasswd(text: string, uid: string): Omit<Person, 'viaSudo'> | null {
  for (const line of text.split('\n')) {
    const fields = line.split(':')
    const [name, , lineUid, gid] = fields
    const home = fields.at(-2)
    if (lineUid !== uid || !name || !gid || !home?.startsWith('/')) continue
    return { name, uid: Number(uid), gid: Number(gid), home }
  }
  return null
}
