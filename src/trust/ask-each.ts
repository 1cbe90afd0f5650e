/** Each store is asked by a program of its own, which has to answer in time on a small machine too. */
const atOnce = 8

/**
 * Asks each of many stores, eight at a time, and returns the answers in the order of the stores. Rejects
 * with the first error.
 */
export async function askEach<Store, Answer>(
  stores: readonly Store[],
  ask: (store: Store) => Promise<Answer>,
): Promise<Answer[]> {
  const answers: Answer[] = []
  const left = stores.entries()
  const work = async (): Promise<void> => {
    for (const [index, store] of left) answers[index] = await ask(store)
  }
  await Promise.all(Array.from({ length: Math.min(atOnce, stores.length) }, work))
  return answers
}
