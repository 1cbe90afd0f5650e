import { RootlingError } from '../errors.ts'
import { trustInProcess, type ProcessTrust } from '../runtimes/process-trust.ts'

/**
 * Makes this process's TLS clients trust the root of an authority for tests. Throws `unsupported` in
 * Bun and Deno.
 */
export async function trustForTests(root: string): Promise<ProcessTrust> {
  const trust = await trustInProcess([root], { mayReplace: true })
  if (trust !== null) return trust
  const name = 'bun' in process.versions ? 'Bun' : 'Deno'
  throw new RootlingError(
    'unsupported',
    `${name} does not let a program change the roots that its fetch trusts.`,
    { hint: 'Start the program with the variables of environment(), or give the client ca: root' },
  )
}
