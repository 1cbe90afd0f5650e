import { readScopes, readScopesInRotation, type Scope } from '../../authority/scope.ts'
import { ensureScopeFor } from '../../authority/create.ts'
import type { StateDirectory } from '../../home/state-directory.ts'
import { stampOfScopes } from '../../storage/files/scopes.ts'
import { purposes, purposesOf } from '../../x509/parsed-certificate.ts'
import type { ClientAuthorities } from '../../server/mutual-tls.ts'

/** A place where the CAs of clients are kept. */
export interface AuthoritySource {
  /** Returns text that changes whenever the CAs do. */
  readonly stamp: () => Promise<string>
  readonly read: () => Promise<ClientAuthorities>
}

/**
 * Reads the CAs from the scopes of this machine that sign clients, and makes such a scope where
 * there is none. While a scope is rotated, its old and its new root both count, as clients may still
 * have certificates of the old root. Throws `no-authority`.
 */
export async function ownAuthorities(state: StateDirectory, now: Date): Promise<AuthoritySource> {
  await ensureScopeFor(state, 'clients', now)
  return {
    stamp: () => stampOfScopes(state),
    async read() {
      const all = [...(await readScopes(state)), ...(await readScopesInRotation(state))]
      const scopes = all.filter(signsClients)
      return {
        ca: scopes.map(({ root }) => root.toString()),
        intermediates: scopes.map(({ intermediate }) => intermediate.subject),
      }
    },
  }
}

/**
 * Whether the certificate that signs leaves permits clientAuth. Those of server scopes do not, but
 * for scopes that an older version made and roots of other programs.
 */
function signsClients({ intermediate }: Scope): boolean {
  const permitted = purposesOf(intermediate)
  return permitted.length === 0 || permitted.includes(purposes.clientAuth)
}

export interface WatchOptions {
  readonly onChanged: (authorities: ClientAuthorities) => void
  /**
   * Called once for each change after which the CAs cannot be read; the earlier ones stay in use.
   */
  readonly onFailed: (error: unknown) => void
  /** The time between two checks of the stamp; default 1,000. */
  readonly milliseconds?: number
}

/** Reads a source now and whenever it changes. Throws what the first reading throws. */
export async function watchAuthorities(
  { stamp, read }: AuthoritySource,
  { onChanged, onFailed, milliseconds = 1_000 }: WatchOptions,
): Promise<{ readonly initial: ClientAuthorities; stop(this: void): void }> {
  // The stamp is taken before reading: a change in between is seen by the next look.
  let seen = await stamp()
  const initial = await read()
  let looking = false
  let stopped = false

  async function look(): Promise<void> {
    if (looking) return
    looking = true
    try {
      const latest = await stamp().catch(() => 'unreadable')
      if (latest === seen) return
      seen = latest
      const authorities = await read()
      if (!stopped) onChanged(authorities)
    } catch (error) {
      onFailed(error)
    } finally {
      looking = false
    }
  }

  const timer = setInterval(() => void look(), milliseconds)
  timer.unref()
  return {
    initial,
    stop() {
      stopped = true
      clearInterval(timer)
    },
  }
}
