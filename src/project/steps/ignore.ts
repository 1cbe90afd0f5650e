import { lstatSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { RootlingError } from '../../errors.ts'
import { sweepDead, writeFileAtomic } from '../../files/atomic.ts'
import { readText } from '../../files/read.ts'
import type { Owner } from '../../files/owner.ts'
import { exposedFiles } from '../git.ts'
import type { Project } from '../find.ts'
import { localFile } from '../read.ts'
import { impossible, settled, type PlannedStep, type Work } from '../step.ts'

const ignoreFile = '.gitignore'
const longest = 4 * 1024 * 1024

/**
 * Plans lines of .gitignore for what belongs into no commit: keys, and files of one person alone. A
 * step fails for each file that a commit would take all the same.
 */
export async function planIgnore({ project, wanted, world }: Work): Promise<PlannedStep[]> {
  const own = [
    // The certificate is of one person's authority, as the key is.
    ...wanted.certificates.flatMap(({ key, cert }) => [key, cert]),
    ...(wanted.env === null ? [] : [wanted.env.file]),
    ...(wanted.hasLocal ? [localFile] : []),
  ]
  if (!project.git || own.length === 0) return []
  const path = join(project.directory, ignoreFile)
  const step = { code: 'ignore', subject: ignoreFile } as const
  try {
    const lines = missingLines((await readText(path, longest)) ?? '', own)
    const exposed = await exposedFiles(project, own, world.env, { added: lines.length === 0 })
    const failed = exposed.map((each) =>
      impossible({ code: 'ignore', subject: each.path }, each.error),
    )
    if (lines.length === 0) return [settled(step), ...failed]
    return [
      {
        step: {
          ...step,
          outcome: 'would-change',
          privileged: false,
          detail: `Lines are added: ${lines.join(' ')}`,
        },
        dangers: [],
        done: [{ kind: 'ignore', lines }],
        uses: [],
        apply: async () => {
          const added = await addLines(path, own, world.state.owner)
          const others = own.filter((each) => !exposed.some((known) => known.path === each))
          const [exposure] = await exposedFiles(project, others, world.env, { added: true })
          if (exposure !== undefined) throw exposure.error
          return added.length === 0 ? undefined : `Lines were added: ${added.join(' ')}`
        },
      },
      ...failed,
    ]
  } catch (error) {
    if (error instanceof RootlingError) return [impossible(step, error)]
    throw error
  }
}

/**
 * Throws `bad-project` unless .gitignore has the lines of these paths by now: Git would otherwise
 * offer a key for the next commit.
 */
export async function refuseUnignored(
  { directory, git }: Project,
  paths: readonly string[],
): Promise<void> {
  if (!git) return
  const lines = missingLines((await readText(join(directory, ignoreFile), longest)) ?? '', paths)
  if (lines.length > 0) throw notIgnored(`${ignoreFile} lacks ${lines.join(' ')}`)
}

/** An error that says why a certificate is not issued; `why` is what is wrong with .gitignore. */
export const notIgnored = (why: string, hint = `Add the lines to ${ignoreFile}`): RootlingError =>
  new RootlingError(
    'bad-project',
    `It is not issued, since its key could get into a commit: ${why.replace(/\.$/, '')}.`,
    { hint },
  )

/** Returns the lines that a .gitignore needs so that Git ignores these paths. */
export function missingLines(text: string, paths: readonly string[]): string[] {
  const lines = text.split(/\r?\n/).map((line) => line.trimEnd())
  return [...new Set(paths.filter((path) => !isIgnored(lines, path)).map(lineOf))]
}

/** A path as a pattern of .gitignore that means it alone (gitignore(5)). */
const lineOf = (path: string): string => `/${path.replace(/[\\*?[\]!# ]/g, '\\$&')}`

/**
 * Whether one of the plain forms of a pattern ignores a path. Where a later line may take that back,
 * or in any doubt, the answer is no: a further line does no harm.
 */
function isIgnored(lines: readonly string[], path: string): boolean {
  const parts = path.split('/')
  const above = parts.slice(0, -1).map((_, i) => parts.slice(0, i + 1).join('/'))
  const plain = new Set([
    lineOf(path),
    ...(/[\\*?[\]!# ]/.test(path) ? [] : [path]),
    ...above.flatMap((each) => [`/${each}/`, `/${each}`, `${each}/`]),
  ])
  const last = lines.findLastIndex((line) => plain.has(line))
  return last !== -1 && !lines.slice(last).some((line) => line.startsWith('!'))
}

/** Adds the lines that these paths lack by now, and returns them: another command may have added some. */
async function addLines(
  path: string,
  paths: readonly string[],
  owner: Owner | null,
): Promise<string[]> {
  const text = (await readText(path, longest)) ?? ''
  const lines = missingLines(text, paths)
  if (lines.length === 0) return lines
  const end = text.includes('\r\n') ? '\r\n' : '\n'
  const gap = text === '' || text.endsWith('\n') ? '' : end
  await write(path, `${text}${gap}${lines.map((line) => line + end).join('')}`, owner)
  return lines
}

/** Takes lines out again that `up` added; what is empty then is left. Returns whether any was there. */
export async function removeLines(
  path: string,
  lines: readonly string[],
  owner: Owner | null,
): Promise<boolean> {
  const text = await readText(path, longest)
  if (text === null) return false
  // Each line keeps its own end.
  const all = text.split(/(?<=\n)/)
  const left = all.filter((line) => !lines.includes(line.trimEnd()))
  if (left.length === all.length) return false
  await write(path, left.join(''), owner)
  return true
}

async function write(path: string, data: string, owner: Owner | null): Promise<void> {
  const mode = (lstatSync(path, { throwIfNoEntry: false })?.mode ?? 0o644) & 0o777
  await sweepDead(dirname(path), basename(path))
  await writeFileAtomic(path, { data, mode }, owner)
}
