import { join } from 'node:path'
import { RootlingError } from '../../errors.ts'
import { writeFileAtomic } from '../../files/atomic.ts'
import { readText } from '../../files/read.ts'
import type { StateDirectory } from '../../home/state-directory.ts'
import { toDelete } from '../../shell-commands.ts'
import { isText } from './stored-values.ts'
import { quotedPath } from '../../shell-word.ts'

/** A root of another authority that `trust` put into the stores. */
export interface TrustedRoot {
  /** What the person calls it; default: its common name. */
  readonly label: string
  /** The absolute path or the URL that it came from. */
  readonly source: string
  /** SHA-256 of the DER, lower-case hex. */
  readonly fingerprint: string
  /** ISO 8601, UTC. */
  readonly trusted: string
  readonly pem: string
}

const path = (state: StateDirectory): string => join(state.path, 'trusted-roots.json')

/** Reads the roots that `trust` recorded, in their order. Throws `corrupt-state`. */
export async function readTrustedRoots(state: StateDirectory): Promise<TrustedRoot[]> {
  const text = await readText(path(state))
  if (text === null) return []
  try {
    const roots = JSON.parse(text) as TrustedRoot[]
    const isRoot = ({ label, source, fingerprint, trusted, pem }: TrustedRoot): boolean =>
      [label, source, fingerprint, trusted, pem].every(isText)
    if (Array.isArray(roots) && roots.every(isRoot)) return roots
  } catch {
    // It is told below.
  }
  throw new RootlingError('corrupt-state', `${quotedPath(path(state))} is damaged.`, {
    hint: `The roots stay trusted without it; then take them out by their fingerprints: ${toDelete(path(state))}`,
  })
}

/** Records a root, in the place of one with the same fingerprint. */
export async function recordTrusted(state: StateDirectory, root: TrustedRoot): Promise<void> {
  await forgetTrusted(state, [root.fingerprint])
  await writeTrustedRoots(state, [...(await readTrustedRoots(state)), root])
}

/** Drops the roots with these fingerprints. */
export async function forgetTrusted(
  state: StateDirectory,
  fingerprints: readonly string[],
): Promise<void> {
  const roots = await readTrustedRoots(state)
  const left = roots.filter(({ fingerprint }) => !fingerprints.includes(fingerprint))
  if (left.length < roots.length) await writeTrustedRoots(state, left)
}

async function writeTrustedRoots(
  state: StateDirectory,
  roots: readonly TrustedRoot[],
): Promise<void> {
  const data = `${JSON.stringify(roots, null, 2)}\n`
  await writeFileAtomic(path(state), { data, mode: 0o644 }, state.owner)
}
