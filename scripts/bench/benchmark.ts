/** One group of measurements; `--only` selects by its name. */
export interface Benchmark {
  readonly name: string
  /** `quick`: fewer rounds, for a first look and for the test that the harness works. */
  run(options: { readonly quick: boolean }): Promise<Row[]>
}

/** One line of the table. */
export interface Row {
  readonly name: string
  readonly unit: 'ms' | '/s' | 'MiB' | 'KiB' | ''
  /** A median. */
  readonly ours: number
  /** `null`: there is no peer, and the bar is for our own figure. */
  readonly peer: { readonly name: string; readonly value: number } | null
  readonly bar: Bar | null
}

/** A limit on the ratio to the peer, or on our figure where there is no peer. */
interface Bar {
  readonly at: 'most' | 'least'
  readonly value: number
}

/** Our figure divided by the peer's; `null`: no peer. */
export function ratioOf({ ours, peer }: Row): number | null {
  return peer === null ? null : ours / peer.value
}

/** Whether a row keeps to its bar; `null`: it has none. */
export function isWithin(row: Row): boolean | null {
  if (row.bar === null) return null
  const figure = ratioOf(row) ?? row.ours
  return row.bar.at === 'most' ? figure <= row.bar.value : figure >= row.bar.value
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5)
}

/** The value at a share (0 to 1) of the sorted values, by nearest rank. Throws without values. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  const value = sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]
  if (value === undefined) throw new RangeError('nothing was measured')
  return value
}

/** A peer's name in the table, with how often it failed. */
export const describePeer = (name: string, failed: number): string =>
  failed === 0 ? name : `${name} (${failed} failed)`
