import { readScopes, readScopesInRotation } from '../../authority/scope.ts'
import type { StateDirectory } from '../../home/state-directory.ts'
import { stampOfScopes } from '../../storage/files/scopes.ts'
import type { ClientAuthorities } from '../../server/mutual-tls.ts'

/** Where authorities stand, and how they are read. */
export interface AuthoritySource {
  /** Changes when they do. */
  readonly stamp: () => Promise<string>
  readonly read: () => Promise<ClientAuthorities>
}

/** The scopes of this machine; while one is rotated, its clients come with the old root or the new. */
export function ownAuthorities(state: StateDirectory): AuthoritySource {
  return {
    stamp: () => stampOfScopes(state),
    async read() {
      const scopes = [...(await readScopes(state)), ...(await readScopesInRotation(state))]
      return {
        ca: scopes.map(({ root }) => root.toString()),
        intermediates: scopes.map(({ intermediate }) => intermediate.subject),
      }
    },
  }
}

export interface WatchOptions {
  readonly onChanged: (authorities: ClientAuthorities) => void
  /** They cannot be read; whoever was trusted stays so. Told once for each change. */
  readonly onFailed: (error: unknown) => void
  /** How often to look, 1,000 ms by default. */
  readonly milliseconds?: number
}

/** What a source holds now, and what it holds later; the first reading throws as it does. */
export async function watchAuthorities(
  { stamp, read }: AuthoritySource,
  { onChanged, onFailed, milliseconds = 1_000 }: WatchOptions,
): Promise<{ readonly initial: ClientAuthorities; stop(this: void): void }> {
  // Looked at before it is read: a change in between is seen by the next look.
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
