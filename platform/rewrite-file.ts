import { open, readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { RootlingError } from '../src/errors.ts'
import { expectSuccess } from './command.ts'
import { isMountPoint } from './file-status.ts'
import type { Machine } from './machine.ts'
import { writeElevated } from './windows/elevated-write.ts'
import { systemProgram } from './windows/system-program.ts'
import { findReplaceable, writeFileOf } from './write-file.ts'

/**
 * Replaces the contents of a system's file that somebody else made, as root. Its owner, group, mode,
 * access list and extended attributes stay, and so does a symbolic link that leads to it. A copy is
 * written and renamed over the file, so that nobody reads half of it; a file that is mounted by
 * itself, as containers mount /etc/hosts, takes no rename and is written in place. Called within
 * `machine.alone`. Throws `store-failed`, `tool-failed` or `tool-missing`.
 */
export async function rewriteFile(machine: Machine, file: string, contents: Buffer): Promise<void> {
  const found = await findReplaceable(file, 'root', { mounted: 'allowed' })
  if (process.platform === 'win32') return writeOnWindows(machine, found, contents)
  if (await isMountPoint(found.path)) return writeInPlace(machine, found.path, contents)
  return writeCopy(machine, found.path, contents)
}

/** Writes the file itself, or has Windows ask for the rights where this process has none. */
async function writeOnWindows(
  machine: Machine,
  { path: file, owner }: Awaited<ReturnType<typeof findReplaceable>>,
  contents: Buffer,
): Promise<void> {
  const own = await open(file, 'r+').catch(() => null)
  await own?.close()
  if (own !== null) return writeFileOf(file, contents, owner)
  const powershell = systemProgram(String.raw`WindowsPowerShell\v1.0\powershell.exe`, machine.env)
  return writeElevated(machine, powershell, { file, contents, old: await readFile(file) })
}

async function writeCopy(machine: Machine, file: string, contents: Buffer): Promise<void> {
  const next = `${file}.rootling-${process.pid}`
  const change = changerOf(machine, file)
  const left = await leftCopies(file)
  try {
    // The copy gets the attributes, and then its contents.
    await change('cp', ['-a', '--', file, next])
    await change('dd', [`of=${next}`, ...blocks(['fsync'])], contents)
    await change('mv', ['-f', '--', next, file])
    if (left.length > 0) await change('rm', ['-f', '--', ...left])
  } catch (error) {
    await change('rm', ['-f', '--', next]).catch(() => undefined)
    throw error
  }
}

/** Returns the copies beside a file that commands left which were killed. */
async function leftCopies(file: string): Promise<string[]> {
  const prefix = `${path.basename(file)}.rootling-`
  const names = await readdir(path.dirname(file))
  return names
    .filter((name) => name.startsWith(prefix) && isDead(name.slice(prefix.length)))
    .map((name) => path.join(path.dirname(file), name))
}

function isDead(id: string): boolean {
  if (!/^[1-9]\d{0,9}$/.test(id)) return false
  try {
    process.kill(Number(id), 0)
    return false
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'ESRCH'
  }
}

/**
 * Writes a file in place so that it is sound after each step: what is shorter than before is filled
 * up with line ends first, in the same write, and cut afterwards.
 */
async function writeInPlace(machine: Machine, file: string, contents: Buffer): Promise<void> {
  const old = await readFile(file)
  const change = changerOf(machine, file)
  const overwrite = (bytes: Buffer) =>
    change('dd', [`of=${file}`, ...blocks(['notrunc', 'fsync'])], bytes)
  const cut = (size: number) => change('truncate', ['-s', `${size}`, file])
  const filling = Buffer.alloc(Math.max(0, old.length - contents.length), '\n')
  try {
    await overwrite(Buffer.concat([contents, filling]))
    if (filling.length > 0) await cut(contents.length)
  } catch (error) {
    const now = await readFile(file)
    if (!now.equals(old)) {
      // The old contents have their blocks on the disk still, even when it is full.
      await overwrite(old)
      if (now.length > old.length) await cut(old.length)
    }
    throw error
  }
}

/** Returns the operands of dd for few, large writes. The dd of macOS knows no fsync. */
function blocks(conversions: readonly string[]): string[] {
  const known = conversions.filter((each) => each !== 'fsync' || process.platform === 'linux')
  return ['bs=1048576', ...(known.length === 0 ? [] : [`conv=${known.join(',')}`])]
}

/** Returns a function that runs one of the system's own programs as root. */
const changerOf =
  (machine: Machine, file: string) =>
  async (tool: string, args: readonly string[], input?: Buffer): Promise<void> => {
    const program = await machine.find(tool, { forRoot: true })
    if (program === null) {
      const sentence = `The program ${tool} is not in the system's directories.`
      throw new RootlingError('tool-missing', sentence)
    }
    const given = input === undefined ? {} : { input }
    const command = { as: 'root', name: `Changing ${file}`, ...given } as const
    expectSuccess(tool, await machine.change(program, args, command))
  }
