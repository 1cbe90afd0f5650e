import { readStoreMemory } from '../storage/files/store-memory.ts'
import type { Context } from './context.ts'

/** Says that the first use of Rootling made the authority. */
export function noteCreated({ state, output }: Context): void {
  output.note(`Created the certificate authority in ${output.path(state.path)}.`)
}

/** Warns where no store was told to trust the root of a scope. */
export async function warnOfDistrust(scope: string, { state, output }: Context): Promise<void> {
  const memory = await readStoreMemory(state)
  // Where no store was wanted, the person knows.
  if (memory?.untrusted.includes(scope) === true && memory.kinds?.length !== 0)
    output.warn(
      'No trust store trusts its root yet, so browsers refuse the certificate. To trust it: rootling install',
    )
}
