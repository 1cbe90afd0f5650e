/** A point that one test reaches and that later tests build on. */
export interface Milestone {
  /** Records that the milestone is reached. Call it at the end of the test that reaches it. */
  reached(): void
  /**
   * Throws when the milestone was not reached. Call it first in a test that builds on the
   * milestone, or in a `beforeEach`.
   */
  required(): void
}

/** Makes a milestone. `name` completes the sentence "NAME failed before it". */
export function milestone(name: string): Milestone {
  let isReached = false
  return {
    reached: () => void (isReached = true),
    required() {
      if (!isReached) throw new Error(`not run: ${name} failed before it`)
    },
  }
}
