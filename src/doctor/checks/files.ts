import { lstat, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { shellWord } from '../../shell-word.ts'
import { finding, type Finding } from '../codes.ts'
import type { Checked, Known } from './check.ts'

/**
 * Finds private keys that others can read, a record that others can write to, and files that a
 * command under sudo left.
 */
export async function checkFiles(known: Known): Promise<Checked> {
  const { world, inventory, machine } = known
  const { path, owner } = world.state
  const scopes = join(path, 'scopes')
  const names = await readdir(scopes).catch(() => [])
  const secrets = [
    ...names.map((name) => ({ file: join(scopes, name, 'intermediate-key.pem'), mode: 0o600 })),
    ...inventory.certificates.flatMap(({ keyPath, keyMode = '0600' }) =>
      keyPath === null ? [] : [{ file: keyPath, mode: Number.parseInt(keyMode, 8) }],
    ),
  ]
  const loose = await Promise.all(secrets.map(({ file, mode }) => judgeKey(file, mode)))
  const record = join(path, 'certificates.jsonl')
  const own = [
    path,
    scopes,
    ...names.map((name) => join(scopes, name)),
    ...secrets.slice(0, names.length).map(({ file }) => file),
    record,
  ]
  const me = owner?.uid ?? machine.person.uid
  const foreign = await Promise.all(
    own.map((file) => judgeOwner(file, me, machine.person.name, path)),
  )
  return {
    check: 'private keys',
    subjects: secrets.map(({ file }) => file),
    findings: [...foreign.flat().slice(0, 1), ...loose.flat(), ...(await judgeRecord(record))],
  }
}

async function judgeKey(file: string, mode: number): Promise<Finding[]> {
  const found = await looseMode(file, 0o077 & ~mode)
  if (found === null) return []
  const command = `chmod ${mode.toString(8)} ${shellWord(file)}`
  const data = { path: file, mode: found, command }
  return [finding('loose-key', file, data, { action: 'chmod', path: file, mode })]
}

/**
 * Judges the record, whose commands renewals run. It is not mended, since a person should first see
 * what others wrote to it.
 */
async function judgeRecord(file: string): Promise<Finding[]> {
  const mode = await looseMode(file, 0o022)
  if (mode === null) return []
  const command = `chmod go-w ${shellWord(file)}`
  return [finding('loose-key', file, { path: file, mode, command, isRecord: true })]
}

/** Returns the mode of a file that has some of the bits `refused`; `null`: it has none of them. */
async function looseMode(file: string, refused: number): Promise<string | null> {
  const info = await lstat(file).catch(() => null)
  if (process.platform === 'win32' || info?.isFile() !== true) return null
  if ((info.mode & refused) === 0) return null
  return (info.mode & 0o777).toString(8).padStart(4, '0')
}

async function judgeOwner(
  file: string,
  me: number,
  name: string,
  state: string,
): Promise<Finding[]> {
  const info = await lstat(file).catch(() => null)
  if (process.platform === 'win32' || info === null || info.uid === me) return []
  return [
    finding('made-with-sudo', file, {
      path: file,
      owner: info.uid,
      command: `sudo chown -R ${shellWord(name)} ${shellWord(state)}`,
    }),
  ]
}
