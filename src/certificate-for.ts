import { ensureAuthority } from './authority/create.ts'
import { keptCertificate, type Certificate, type KeptOptions } from './certificates/kept.ts'
import { stateDirectory } from './home/state-directory.ts'
import { settleInterrupted } from './storage/files/pending.ts'

export interface CertificateForOptions extends KeptOptions {
  /** The state directory; default as the command line's. */
  readonly home?: string
  readonly now?: () => Date
}

/**
 * A certificate for these names, kept in the state directory: the same one while less than two
 * thirds of its life have passed, then a new one. Creates the authority when there is none, which
 * `rootling install` then makes trusted. Never prompts. Throws `bad-name`, `not-permitted`, ….
 */
export async function certificateFor(
  names: readonly string[],
  options: CertificateForOptions = {},
): Promise<Certificate> {
  const { home } = options
  const state = home === undefined ? stateDirectory() : { path: home, owner: null }
  const now = (options.now ?? (() => new Date()))()
  await settleInterrupted(state)
  await ensureAuthority(state, now)
  return keptCertificate(state, names, options, now)
}
