import { X509Certificate } from 'node:crypto'
import { isOwnSubject } from '../../platform/own-subject.ts'
import type { TrustAnchor } from '../../platform/trust-store.ts'
import { readText } from '../files/read.ts'
import type { StateDirectory } from '../home/state-directory.ts'
import { rootCopiesPath, rootPath } from '../storage/files/scopes.ts'
import { anchorWith } from './machine-stores.ts'

/**
 * Reads the root of a scope, whatever the state of the scope's other files is; `null`: it cannot be
 * read, or another program made it.
 */
export async function storedRoot(state: StateDirectory, name: string): Promise<TrustAnchor | null> {
  try {
    const { raw } = new X509Certificate((await readText(rootPath(state, name))) ?? '')
    if (!isOwnSubject(raw)) return null
    const copies = await readText(rootCopiesPath(state, name)).catch(() => null)
    return anchorWith(raw, copies ?? undefined)
  } catch {
    return null
  }
}
