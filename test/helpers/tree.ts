import { createHash } from 'node:crypto'
import { lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import type { Finished } from './subprocess.ts'

/** Path → what is there: `directory`, `link TARGET`, or `file MODE SHA256`. No times. */
export type Tree = Readonly<Record<string, string>>

// An absent path is an empty tree. Links are listed, never followed.
const script = `
[ -e "$1" ] || [ -L "$1" ] || exit 0
find "$1" -type d -printf '%p\\tdirectory\\n' -o -type l -printf '%p\\tlink %l\\n'
find "$1" -type f -printf '%m ' -exec sha256sum {} ';'
`

/**
 * Reads a whole tree with the given runner, which runs programs on the host or inside a namespace.
 */
export async function readTree(
  run: (program: string, args: readonly string[]) => Promise<Finished>,
  path: string,
): Promise<Tree> {
  const { exitCode, stdout, stderr } = await run('sh', ['-c', script, 'sh', path])
  if (exitCode !== 0) throw new Error(`could not list ${path}: ${stderr}`)
  const rows = stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line): [string, string] => {
      const file = /^(\d+) ([0-9a-f]{64}) {2}(.+)$/.exec(line)
      if (file) return [file[3] ?? '', `file ${file[1]} ${file[2]}`]
      const [name = '', what = ''] = line.split('\t')
      return [name, what]
    })
  return Object.fromEntries(rows.toSorted(([a], [b]) => (a < b ? -1 : 1)))
}

/** Reads a whole tree of the host as `readTree` does, but in this process. */
export function treeOf(path: string): Tree {
  const below = readdirSync(path, { recursive: true, encoding: 'utf8' })
  const paths = [path, ...below.map((name) => join(path, name))].toSorted()
  return Object.fromEntries(paths.map((each) => [each, rowOf(each)]))
}

function rowOf(path: string): string {
  const info = lstatSync(path)
  if (info.isDirectory()) return 'directory'
  if (info.isSymbolicLink()) return `link ${readlinkSync(path)}`
  const digest = createHash('sha256').update(readFileSync(path)).digest('hex')
  return `file ${(info.mode & 0o7777).toString(8)} ${digest}`
}
