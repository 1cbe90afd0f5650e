import { checkOptions } from '../arguments.ts'
import { RootlingError } from '../errors.ts'
import { givenStateDirectory } from '../home/state-directory.ts'
import type { ProcessTrust } from '../runtimes/process-trust.ts'
import { stateOptions, type StateOptions } from './state.ts'

/** Whether this process trusts the roots. It ends with `dispose` or `using`. */
export interface InProcessTrust extends ProcessTrust {
  /** `false`: this runtime has no function for the purpose, and nothing was changed. */
  readonly supported: boolean
}

/** In characters. */
const longestRoots = 1024 * 1024

/**
 * Makes this process trust the roots of the authority beside those that it trusted before: `fetch`,
 * `node:https`, undici and all that is built on Node's TLS, where no `ca` of their own is given. It
 * needs Node 22.19, 24.5 or later; elsewhere, also in Bun and Deno, it changes nothing and
 * `supported` is `false`: start the program by `rootling run`, or give clients the `ca` of
 * `certificateFor`. `ca`: the roots to trust instead, PEM. Throws `bad-certificate` for another `ca`,
 * and without one `no-authority`, `usage`, `corrupt-state` and `newer-state`.
 *
 * @example
 * import { certificateFor, trustInProcess } from 'rootling'
 *
 * const { ca } = await certificateFor('localhost')
 * const trust = await trustInProcess(ca)
 * if (!trust.supported) console.log('This Node is too old; use the option ca of the client')
 * trust.dispose()
 */
export async function trustInProcess(
  ca?: string,
  options: Pick<StateOptions, 'home'> = {},
): Promise<InProcessTrust> {
  checkOptions('trustInProcess', options, { home: stateOptions.home })
  const { trustInProcess: trustRoots } = await import('../runtimes/process-trust.ts')
  const roots = await rootsIn(ca ?? (await ownRoots(options)))
  const trust = await trustRoots(roots, { mayReplace: false })
  if (trust !== null) return { ...trust, supported: true }
  const dispose = (): void => undefined
  return { dispose, [Symbol.dispose]: dispose, supported: false }
}

async function ownRoots(options: Pick<StateOptions, 'home'>): Promise<string> {
  const { findOwnRoots } = await import('../runtimes/own-roots.ts')
  const { pem } = await (await findOwnRoots(await givenStateDirectory(options.home))).read()
  return pem
}

/** Returns each certificate, PEM. Throws `bad-certificate` where one cannot be read. */
async function rootsIn(pem: string): Promise<string[]> {
  const { pemBlocks } = await import('../x509/pem.ts')
  const { X509Certificate } = await import('node:crypto')
  const isShort = typeof pem === 'string' && pem.length <= longestRoots
  const blocks = isShort ? pemBlocks(pem).filter(({ label }) => label === 'CERTIFICATE') : []
  try {
    if (blocks.length > 0) return blocks.map(({ text }) => new X509Certificate(text).toString())
  } catch {
    // The sentence is the same: OpenSSL's own says nothing to people.
  }
  throw new RootlingError('bad-certificate', 'ca is not the PEM of certificates.', {
    hint: "ca: await readFile('root.pem', 'utf8')",
  })
}
