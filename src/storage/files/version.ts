import { join } from 'node:path'
import { RootlingError } from '../../errors.ts'
import { writeFileAtomic } from '../../files/atomic.ts'
import { readText } from '../../files/read.ts'
import { toUpdate } from '../../files/update.ts'
import type { StateDirectory } from '../../home/state-directory.ts'
import { toMove } from '../../shell-commands.ts'
import { quotedPath } from '../../shell-word.ts'

/**
 * Brings the files of a state directory from one version to the next, under the lock. It must be
 * able to begin again after a kill at any point, also at its end: only then is the number written.
 */
export type Step = (state: StateDirectory) => Promise<void>

/** The first step leads from version 1 to 2. */
const allSteps: readonly Step[] = [
  // Version 1 is a directory without the file `version`; all else is as it was.
  async () => undefined,
  // In the journal of the ACME server, 0 may stand for a token from here on. Older lines are read too.
  async () => undefined,
]

/** Returns the version that a state directory has once all steps have been taken. */
const lastVersion = (steps: readonly Step[]): number => 1 + steps.length

const versionPath = (state: StateDirectory): string => join(state.path, 'version')

/**
 * Throws `newer-state` for a state directory that a newer Rootling wrote or carried over: this one
 * would misread its files, or delete too few. Throws `corrupt-state` for a damaged number.
 */
export async function refuseNewer(state: StateDirectory): Promise<void> {
  await knownVersion(state, allSteps)
}

/**
 * Takes the steps from a state directory's version to this Rootling's, and writes the number after
 * each. Call it under the lock, before anything else is written. Throws what `refuseNewer` throws:
 * another process may have carried the directory over while this one was waiting.
 */
export async function carryOver(
  state: StateDirectory,
  steps: readonly Step[] = allSteps,
): Promise<void> {
  let version = await knownVersion(state, steps)
  for (const step of steps.slice(version - 1)) {
    await step(state)
    version++
    const contents = { data: `${version}\n`, mode: 0o644 }
    await writeFileAtomic(versionPath(state), contents, state.owner)
  }
}

/** Returns the version of a state directory; one without the file has version 1. */
async function knownVersion(state: StateDirectory, steps: readonly Step[]): Promise<number> {
  const path = versionPath(state)
  const text = (await readText(path, 64)) ?? '1\n'
  if (!/^[1-9]\d{0,8}\n?$/.test(text))
    throw new RootlingError(
      'corrupt-state',
      `${quotedPath(path)} does not hold the version of a state directory.`,
      {
        hint: `Restore it from a backup or, if no newer Rootling wrote here, move it away: ${toMove(path, `${path}.old`)}`,
      },
    )
  const version = Number(text)
  const last = lastVersion(steps)
  if (version <= last) return version
  throw new RootlingError(
    'newer-state',
    `${quotedPath(state.path)} has version ${version}, which a newer Rootling wrote; this one knows versions up to ${last}.`,
    {
      hint: `Update Rootling, and restart what still runs an older one: ${toUpdate()}`,
    },
  )
}
