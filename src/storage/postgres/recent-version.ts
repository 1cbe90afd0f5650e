/**
 * The version of the scopes as a process saw it last. Whatever reads the database for other reasons brings
 * it along, so that it need not be asked for each certificate. What was signed by an older version is not
 * recorded, so being late does no harm.
 */
export interface RecentVersion {
  seen(version: string): void
  /** `null`: nobody saw it within a second. */
  get(): string | null
  forget(): void
}

/** In milliseconds. */
const freshFor = 1_000

export function createRecentVersion(): RecentVersion {
  let last: { readonly version: string; readonly until: number } | null = null
  return {
    seen: (version) => (last = { version, until: performance.now() + freshFor }),
    get: () => (last !== null && performance.now() < last.until ? last.version : null),
    forget: () => (last = null),
  }
}
