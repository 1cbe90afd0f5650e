import { ensureAuthority } from '../../src/authority/create.ts'
import { temporaryState } from '../helpers/temporary.ts'

/** Returns the PEM of a root that is not of the authority at hand: of an authority of its own. */
export async function foreignRoot(): Promise<string> {
  const { scope } = await ensureAuthority(await temporaryState(), new Date())
  return scope.root.toString()
}
