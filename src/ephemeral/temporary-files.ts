/// <reference lib="esnext.disposable" preserve="true" />
import { rmSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { RootlingError } from '../errors.ts'
import { quotedPath } from '../shell-word.ts'

/**
 * Files in a temporary directory. They are deleted by `dispose`, by `await using`, or else when the
 * process ends. Files of a process that was killed stay.
 */
export interface TemporaryFiles extends AsyncDisposable {
  /** Deletes the files; may be called again. */
  readonly dispose: () => Promise<void>
}

/** Absolute paths of a certificate's PEM. */
export interface CertificateFiles extends TemporaryFiles {
  /** The leaf, then the intermediate. */
  readonly certPath: string
  /** The key. */
  readonly keyPath: string
  /** The root. */
  readonly caPath: string
}

/** The directories that are not deleted yet. */
const left = new Set<string>()

/**
 * Writes files, given as texts by name, into a new directory for this user alone: mkdtemp makes it
 * with mode 0700. Throws `state-unwritable`.
 */
export async function writeTemporary(
  files: Readonly<Record<string, string>>,
): Promise<TemporaryFiles & { readonly pathOf: (name: string) => string }> {
  // TMPDIR may be relative, and the process may go to another directory before it ends.
  const parent = resolve(tmpdir())
  try {
    const directory = await mkdtemp(join(parent, 'rootling-ephemeral-'))
    if (left.size === 0) process.once('exit', deleteLeft)
    left.add(directory)
    const pathOf = (name: string): string => join(directory, name)
    for (const [name, text] of Object.entries(files))
      await writeFile(pathOf(name), text, { mode: 0o600, flag: 'wx' })
    const dispose = async (): Promise<void> => {
      await rm(directory, { recursive: true, force: true })
      left.delete(directory)
      if (left.size === 0) process.removeListener('exit', deleteLeft)
    }
    return { pathOf, ...disposable(dispose) }
  } catch (cause) {
    throw new RootlingError(
      'state-unwritable',
      `Temporary files cannot be written in ${quotedPath(parent)}.`,
      { hint: 'Set TMPDIR (on Windows TEMP) to a directory that you may write', cause },
    )
  }
}

/** Returns an object that `await using` disposes of, where the symbol for that exists. */
const disposable = (dispose: () => Promise<void>): TemporaryFiles => ({
  dispose,
  [Symbol.asyncDispose]: dispose,
})

function deleteLeft(): void {
  for (const directory of left) rmSync(directory, { recursive: true, force: true })
}
