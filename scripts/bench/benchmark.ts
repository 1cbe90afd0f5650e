/** One group of measurements; `--only` selects by its name. */
export interface Benchmark {
  readonly name: string
  /**
   * Runs the measurements. `quick` means fewer rounds, for a first look and for the test that the
   * harness works.
   */
  run(options: { readonly quick: boolean }): Promise<Row[]>
}

/** One line of the table. */
export interface Row {
  readonly name: string
  readonly unit: 'ms' | '/s' | 'MiB' | 'KiB' | ''
  /** The median of Rootling's measurements. */
  readonly ours: number
  /**
   * The program that Rootling is compared with, and its median; `null`: there is none, and the bar
   * is for `ours`.
   */
  readonly peer: { readonly name: string; readonly value: number } | null
  readonly bar: Bar | null
}

/** A limit on the ratio of `ours` to the peer's value, or on `ours` where there is no peer. */
interface Bar {
  readonly at: 'most' | 'least'
  readonly value: number
}

/** Returns `ours` divided by the peer's value; `null`: there is no peer. */
export function ratioOf({ ours, peer }: Row): number | null {
  return peer === null ? null : ours / peer.value
}

/** Whether a row is within its bar; `null`: the row has no bar. */
export function isWithin(row: Row): boolean | null {
  if (row.bar === null) return null
  const figure = ratioOf(row) ?? row.ours
  return row.bar.at === 'most' ? figure <= row.bar.value : figure >= row.bar.value
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5)
}

/**
 * Returns the value at a share (0 to 1) of the sorted values, by nearest rank. Throws when there
 * are no values.
 */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  const value = sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]
  if (value === undefined) throw new RangeError('nothing was measured')
  return value
}

/** Returns a peer's name for the table, with the number of its failures. */
export const describePeer = (name: string, failed: number): string =>
  failed === 0 ? name : `${name} (${failed} failed)`
