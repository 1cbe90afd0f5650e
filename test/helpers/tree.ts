import type { Finished } from './subprocess.ts'

/** Path → what stands there: `directory`, `link TARGET`, or `file MODE SHA256`. No times. */
export type Tree = Readonly<Record<string, string>>

// An absent path is an empty tree. Links are listed, never followed.
const script = `
[ -e "$1" ] || [ -L "$1" ] || exit 0
find "$1" -type d -printf '%p\\tdirectory\\n' -o -type l -printf '%p\\tlink %l\\n'
find "$1" -type f -printf '%m ' -exec sha256sum {} ';'
`

/** Reads a whole tree with the given runner: the host's own, or one inside a namespace. */
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
