import { createHash } from 'node:crypto'
import { closeSync, existsSync, fstatSync, readdirSync, readSync } from 'node:fs'
import { basename, join, sep } from 'node:path'
import { findSystemRoots, type SystemRoots } from '../../platform/system-roots.ts'
import { isLeftover, sweepDead, writeFileAtomic } from '../files/atomic.ts'
import { removeEntries, removeIfEmpty } from '../files/own-entries.ts'
import { makePrivateDirectory } from '../files/private-directory.ts'
import { openNoFollow } from '../files/read.ts'
import { stampOf } from '../files/stamp.ts'
import type { StateDirectory } from '../home/state-directory.ts'
import { scopeNames } from '../storage/files/scopes.ts'
import { bundles } from '../storage/files/unfinished-writes.ts'
import { findOwnRoots, type OwnRoots } from './own-roots.ts'

/*
 * The files that variables name. Each holds public certificates only. Its second line says what it
 * was made of, so that it is made again when that has changed.
 */

/** The directory of these files in a state directory. */
const bundlesPath = ({ path }: StateDirectory): string => join(path, bundles)

/** Whether a value names one of these files. */
export const isBundle = (state: StateDirectory, value: string): boolean =>
  value.startsWith(bundlesPath(state) + sep)

/**
 * What a file holds: `roots`: our roots; `bundle`: those of the system too; `git`: the same for git
 * alone. Where a variable named other roots before, those are in the file too.
 */
type BundleKind = 'roots' | 'bundle' | 'git'

/** A configuration of git for the hosts that the authority may sign. */
const gitConfig = 'git.config'

export interface Bundle {
  readonly path: string
  /** Why the roots that the variable named before are not in the file; `null`: they are. */
  readonly problem: string | null
}

/** Where roots come from. */
export interface Sources {
  readonly own: OwnRoots
  readonly system: SystemRoots
  /** Takes the paths of what is out of date, which is then not made; absent: it is made. */
  readonly stale?: string[] | undefined
}

/** Finds the roots of the authority and those of the system. Throws `no-authority`. */
export async function findSources(state: StateDirectory): Promise<Sources> {
  return { own: await findOwnRoots(state), system: await findSystemRoots() }
}

/** The first line, by which the files are known. */
const title = '# Rootling keeps this file up to date; changes are overwritten.\n'

/** The second line of a file. */
interface Header {
  readonly kind: BundleKind | typeof gitConfig
  /** The file or directory of roots that the variable named before. */
  readonly before: string | null
  /** Changes with what the file is made of. */
  readonly stamp: string
  readonly problem: string | null
  /** How many octets follow this line. */
  readonly size: number
}

/**
 * Makes sure that a file of roots is there and up to date, and holds those of the file or directory
 * `before` too, given as an absolute path. Throws `state-unwritable`, `corrupt-state`.
 */
export async function ensureBundle(
  state: StateDirectory,
  kind: BundleKind,
  before: string | null,
  { own, system, stale }: Sources,
): Promise<Bundle> {
  const mark = before === null ? '' : `-${digestOf(before).slice(0, 16)}`
  const path = join(bundlesPath(state), `${kind}${mark}.pem`)
  const named = before === null ? '' : await stampOf(before).catch(() => 'unreadable')
  const stamp = digestOf(
    JSON.stringify([own.stamp, kind === 'roots' ? '' : system.stamp, named, before]),
  )
  const found = readHeader(path)
  if (found?.stamp === stamp) return { path, problem: found.problem }
  if (stale !== undefined) {
    stale.push(path)
    return { path, problem: null }
  }
  const { pem } = await own.read()
  const { problem } = await writeBundle(state, path, { kind, before, stamp }, pem, system)
  return { path, problem }
}

const digestOf = (text: string): string => createHash('sha256').update(text).digest('hex')

async function writeBundle(
  state: StateDirectory,
  path: string,
  { kind, before, stamp }: Pick<Header, 'kind' | 'before' | 'stamp'>,
  own: string,
  system: SystemRoots,
): Promise<Header> {
  // Loaded only here: mostly the files are up to date.
  const { certificatesAt, withoutDoubles } = await import('./certificate-files.ts')
  const named = before === null ? '' : certificatesAt(before)
  const texts = [kind === 'roots' ? '' : await system.read(), named ?? '', own]
  const problem = named === null ? `no certificate in PEM could be read from ${before}` : null
  const header = { kind, before, stamp, problem }
  return writeKept(state, path, header, withoutDoubles(texts.join('\n')))
}

async function writeKept(
  state: StateDirectory,
  path: string,
  parts: Omit<Header, 'size'>,
  body: string,
): Promise<Header> {
  const directory = bundlesPath(state)
  const header: Header = { ...parts, size: Buffer.byteLength(body) }
  const data = `${title}# ${JSON.stringify(header)}\n${body}`
  await makePrivateDirectory(directory, state.owner)
  await sweepDead(directory, basename(path))
  await writeFileAtomic(path, { data, mode: 0o644 }, state.owner)
  return header
}

/**
 * Makes sure that the files are there that containers read: our roots, and those of the system with
 * ours. Throws `no-authority`, `corrupt-state`, `state-unwritable`.
 */
export async function ensureContainerFiles(
  state: StateDirectory,
): Promise<{ readonly roots: string; readonly bundle: string }> {
  const sources = await findSources(state)
  const { path: roots } = await ensureBundle(state, 'roots', null, sources)
  const { path: bundle } = await ensureBundle(state, 'bundle', null, sources)
  return { roots, bundle }
}

/** Returns the roots that a variable named before it named this file; `null`: it named none. */
export const namedBefore = (path: string): string | null => readHeader(path)?.before ?? null

/**
 * Makes sure that a configuration of git is there by which it trusts our roots too, for the names
 * that the authority may sign, on the port of HTTPS and that of `rootling serve`. Returns its path.
 * Git passes over an included file that is missing.
 */
export async function ensureGitConfig(state: StateDirectory, sources: Sources): Promise<string> {
  const path = join(bundlesPath(state), gitConfig)
  const bundle = await ensureBundle(state, 'git', null, sources)
  const stamp = digestOf(sources.own.stamp)
  if (readHeader(path)?.stamp === stamp) return path
  if (sources.stale !== undefined) {
    sources.stale.push(path)
    return path
  }
  const { domains } = await sources.own.read()
  // A `*` stands for one label, and a port must be named.
  const names = domains.flatMap((domain) => [domain, `*.${domain}`, `*.*.${domain}`])
  const hosts = names.includes('localhost') ? [...names, '127.0.0.1', '[::1]'] : names
  const quoted = `"${bundle.path.replaceAll(/["\\]/g, '\\$&')}"`
  const body = hosts
    .flatMap((host) => [`https://${host}/`, `https://${host}:8443/`])
    .map((url) => `[http "${url}"]\n\tsslCAInfo = ${quoted}\n`)
    .join('')
  await writeKept(state, path, { kind: gitConfig, before: null, stamp, problem: null }, body)
  return path
}

/** Reads the header of a whole file of ours; `null`: there is none. Throws `file-unreadable`. */
function readHeader(path: string): Header | null {
  const file = openNoFollow(path)
  if (file === null) return null
  try {
    const start = Buffer.alloc(16 * 1024)
    const text = start.toString('utf8', 0, readSync(file, start, 0, start.length, 0))
    const end = text.indexOf('\n', title.length)
    if (!text.startsWith(`${title}# `) || end < 0) return null
    const line = text.slice(0, end + 1)
    const header = JSON.parse(line.slice(title.length + 2)) as Header
    return fstatSync(file).size === Buffer.byteLength(line) + header.size ? header : null
  } catch {
    return null
  } finally {
    closeSync(file)
  }
}

/**
 * Brings every file of roots that is there up to date, after a change of the roots. Throws
 * `state-unwritable`, `corrupt-state`.
 */
export async function updateBundles(state: StateDirectory): Promise<void> {
  const kept = keptFiles(state)
  if (kept.length === 0) return
  if ((await scopeNames(state)).length === 0) return void (await retireBundles(state))
  const sources = await findSources(state)
  for (const { kind, before } of kept)
    if (kind === gitConfig) await ensureGitConfig(state, sources)
    else await ensureBundle(state, kind, before, sources)
}

/**
 * Makes every file of roots again without ours, which are trusted no more. The files stay, because
 * programs that run may still be told to read them, and many trust nobody where the file is missing.
 * With `isDeleted` only those stay that replace other roots. Returns the paths of what stays.
 */
export async function retireBundles(
  state: StateDirectory,
  { isDeleted = false } = {},
): Promise<string[]> {
  const kept = keptFiles(state)
  // The person may have deleted the files that an earlier deletion left.
  if (kept.length === 0 && isDeleted) removeIfEmpty(bundlesPath(state))
  if (kept.length === 0) return []
  const system = await findSystemRoots()
  const left: string[] = []
  for (const { path, kind, ...parts } of kept) {
    if (isDeleted && kind !== 'bundle') await removeEntries({ files: [path] })
    else {
      left.push(path)
      if (kind !== gitConfig)
        await writeBundle(state, path, { ...parts, kind, stamp: 'without Rootling' }, '', system)
    }
  }
  if (isDeleted)
    for (const name of readdirSync(bundlesPath(state)))
      if (isLeftover(name)) await removeEntries({ files: [join(bundlesPath(state), name)] })
  removeIfEmpty(bundlesPath(state))
  return left
}

/** The files that are there. What is in their directory beside them is not ours. */
function keptFiles(state: StateDirectory): (Header & { readonly path: string })[] {
  const directory = bundlesPath(state)
  if (!existsSync(directory)) return []
  return readdirSync(directory)
    .map((name) => join(directory, name))
    .flatMap((path) => {
      const header = isLeftover(basename(path)) ? null : readHeader(path)
      return header === null ? [] : [{ ...header, path }]
    })
}
