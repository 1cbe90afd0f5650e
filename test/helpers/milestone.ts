/** A point that one test reaches and later ones build on. */
export interface Milestone {
  /** Call it last in the test that gets there. */
  reached(): void
  /** Call it first in a test that builds on it, or in their `beforeEach`; throws: it failed. */
  required(): void
}

/** `name` fits the sentence "NAME failed before it". */
export function milestone(name: string): Milestone {
  let isReached = false
  return {
    reached: () => void (isReached = true),
    required() {
      if (!isReached) throw new Error(`not run: ${name} failed before it`)
    },
  }
}
