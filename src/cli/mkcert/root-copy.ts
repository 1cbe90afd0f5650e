import { X509Certificate } from 'node:crypto'
import { join } from 'node:path'
import type { Scope } from '../../authority/scope.ts'
import { writeFileAtomic } from '../../files/atomic.ts'
import { exists } from '../../files/exists.ts'
import { readText } from '../../files/read.ts'
import type { StateDirectory } from '../../home/state-directory.ts'
import { quotedPath } from '../../shell-word.ts'

/** The paths at which mkcert, and tools that use it, look for the root and its key. */
export const rootCopyPath = ({ path }: StateDirectory): string => join(path, 'rootCA.pem')
export const mkcertKeyPath = ({ path }: StateDirectory): string => join(path, 'rootCA-key.pem')

/**
 * Writes the roots of every scope to `rootCA.pem`, `local` first, for tools that read this file.
 * When mkcert's key is beside it, the file is mkcert's and stays as it is. Returns `null`, or a
 * sentence for the person when mkcert's root signs nothing any more.
 */
export async function updateRootCopy(
  state: StateDirectory,
  scopes: readonly Scope[],
): Promise<string | null> {
  const path = rootCopyPath(state)
  const current = await readText(path)
  if (current !== null && (await exists(mkcertKeyPath(state)))) {
    if (scopes.some(({ root }) => sameCertificate(root, current))) return null
    return `${quotedPath(path)} is of a CA that signs nothing here any more; delete it and rootCA-key.pem, and the next run writes the new root there.`
  }
  const data = scopes.map(({ root }) => root.toString()).join('')
  if (current !== data) await writeFileAtomic(path, { data, mode: 0o644 }, state.owner)
  return null
}

function sameCertificate(root: X509Certificate, pem: string): boolean {
  try {
    return new X509Certificate(pem).raw.equals(root.raw)
  } catch {
    return false
  }
}
