/**
 * The text format of Prometheus, version 0.0.4:
 * https://prometheus.io/docs/instrumenting/exposition_formats/. The package prom-client would take
 * about 80 ms of CPU at each start, and brings OpenTelemetry with it.
 */
export const prometheusType = 'text/plain; version=0.0.4; charset=utf-8'

/** The most sets of label values of one metric; all further ones count as one, named `other`. */
const mostSets = 200

type Values<L extends string> = Readonly<Record<L, string>>

interface Described {
  readonly name: string
  readonly help: string
}

export interface Counter<L extends string> {
  add(values: Values<L>, by?: number): void
  readonly text: () => string
}

export interface Histogram<L extends string> {
  observe(values: Values<L>, value: number): void
  readonly text: () => string
}

/** Creates a counter. One without labels begins at 0; one with labels has no lines before it counts. */
export function createCounter<L extends string>(
  described: Described,
  labels: readonly L[],
): Counter<L> {
  const sets = boundedSets(labels, () => ({ value: 0 }))
  if (labels.length === 0) sets.of({} as Values<L>)
  return {
    add(values, by = 1) {
      sets.of(values).value += by
    },
    text: () =>
      metricText(
        described,
        'counter',
        [...sets.all].map(([set, { value }]) => sample(described.name, set, value)),
      ),
  }
}

/** Creates a histogram. `bounds`: the upper end of each bucket, ascending, without infinity. */
export function createHistogram<L extends string>(
  described: Described,
  labels: readonly L[],
  bounds: readonly number[],
): Histogram<L> {
  const sets = boundedSets(labels, () => ({ buckets: bounds.map(() => 0), sum: 0, count: 0 }))
  const { name } = described
  return {
    observe(values, value) {
      const set = sets.of(values)
      // Each bucket holds what the ones below it hold, too.
      for (const [i, bound] of bounds.entries())
        if (value <= bound) set.buckets[i] = (set.buckets[i] ?? 0) + 1
      set.sum += value
      set.count += 1
    },
    text: () =>
      metricText(
        described,
        'histogram',
        [...sets.all].flatMap(([set, { buckets, sum, count }]) => [
          ...[...bounds, Infinity].map((bound, i) =>
            sample(
              `${name}_bucket`,
              joined(set, label('le', numberText(bound))),
              buckets[i] ?? count,
            ),
          ),
          sample(`${name}_sum`, set, sum),
          sample(`${name}_count`, set, count),
        ]),
      ),
  }
}

/** Returns the lines of a gauge, or of a counter that is kept elsewhere; empty for no values. */
export function valuesText(
  described: Described,
  type: 'gauge' | 'counter',
  values: readonly (readonly [labels: Readonly<Record<string, string>>, value: number])[],
): string {
  const lines = values
    .slice(0, mostSets)
    .map(([labels, value]) => sample(described.name, labelsText(labels), value))
  return metricText(described, type, lines)
}

/** Keeps one thing for each set of label values, by the text of the set. */
function boundedSets<L extends string, T>(labels: readonly L[], create: () => T) {
  const all = new Map<string, T>()
  const textOf = (valueOf: (name: L) => string): string =>
    labelsText(Object.fromEntries(labels.map((name) => [name, valueOf(name)])))
  const others = textOf(() => 'other')
  return {
    all,
    of(values: Values<L>): T {
      const set = textOf((name) => values[name])
      const key = all.has(set) || all.size < mostSets ? set : others
      const known = all.get(key) ?? create()
      all.set(key, known)
      return known
    },
  }
}

function metricText({ name, help }: Described, type: string, samples: readonly string[]): string {
  if (samples.length === 0) return ''
  const escaped = help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')
  return `# HELP ${name} ${escaped}\n# TYPE ${name} ${type}\n${samples.join('')}`
}

const sample = (name: string, set: string, value: number): string =>
  `${name}${set === '' ? '' : `{${set}}`} ${numberText(value)}\n`

const labelsText = (labels: Readonly<Record<string, string>>): string =>
  Object.entries(labels)
    .map(([name, value]) => label(name, value))
    .join(',')

const joined = (set: string, more: string): string => (set === '' ? more : `${set},${more}`)

/** A value of more than 100 characters is cut. */
function label(name: string, value: string): string {
  const cut = value.slice(0, 100)
  const escaped = cut.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')
  return `${name}="${escaped}"`
}

const numberText = (value: number): string =>
  value === Infinity ? '+Inf' : value === -Infinity ? '-Inf' : String(value)
