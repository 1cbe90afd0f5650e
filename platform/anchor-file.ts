import { chown, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { makeTemporaryDirectory } from './command.ts'
import type { Machine } from './machine.ts'
import type { TrustAnchor } from './trust-store.ts'

/** Runs `work` with a temporary directory that the person can read and write, then removes it. */
export async function withDirectory<T>(
  machine: Machine,
  work: (directory: string) => Promise<T>,
): Promise<T> {
  const directory = await makeTemporaryDirectory()
  try {
    // Queries run as the person, who could not read a directory that root owns.
    if (machine.person.viaSudo) await chown(directory, machine.person.uid, machine.person.gid)
    return await work(directory)
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

/**
 * Runs `work` with the path of a temporary PEM file that holds an anchor, then removes the file. A
 * dry run uses the file in which this PEM is kept, where one is known, because a person may run the
 * printed command later.
 */
export async function withAnchorFile<T>(
  machine: Machine,
  anchor: TrustAnchor,
  work: (file: string) => Promise<T>,
): Promise<T> {
  const lasting = machine.dryRun ? machine.knownFile(anchor.pem) : null
  if (lasting !== null) return work(lasting)
  return withDirectory(machine, async (directory) => {
    const file = path.join(directory, `${anchor.name}.pem`)
    await writeFile(file, anchor.pem, { mode: 0o644 })
    return work(file)
  })
}
