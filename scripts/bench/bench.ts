import { parseArgs } from 'node:util'
import { acme } from './acme.ts'
import { isWithin, ratioOf, type Row } from './benchmark.ts'
import { doctor } from './doctor.ts'
import { ephemeral } from './ephemeral.ts'
import { handshake } from './handshake.ts'
import { install } from './install.ts'
import { issuing } from './issuing.ts'
import { libraryOfServers } from './library.ts'
import { many } from './many.ts'
import { memory } from './memory.ts'
import { packageSize } from './package.ts'
import { proxy } from './proxy.ts'
import { record } from './record.ts'
import { runChild } from './run-child.ts'
import { scale } from './scale.ts'
import { standalone } from './standalone.ts'
import { startUp } from './start-up.ts'
import { teamScale } from './team-scale.ts'
import { team } from './team.ts'
import { up } from './up.ts'

// This file runs the benchmarks; `run.mjs` bundles and starts it.
const benchmarks = [
  startUp,
  standalone,
  runChild,
  issuing,
  ephemeral,
  libraryOfServers,
  record,
  acme,
  team,
  teamScale,
  scale,
  handshake,
  proxy,
  install,
  doctor,
  up,
  many,
  memory,
  packageSize,
]

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    check: { type: 'boolean', default: false },
    only: { type: 'string', default: '' },
  },
})
const chosen = benchmarks.filter(({ name }) => name.includes(values.only))
if (chosen.length === 0)
  throw new Error(`No benchmark has such a name: ${benchmarks.map(({ name }) => name).join(', ')}`)

const rows: Row[] = []
for (const benchmark of chosen) {
  const begun = performance.now()
  rows.push(...(await benchmark.run({ quick: values.quick })))
  process.stderr.write(`${benchmark.name}: ${((performance.now() - begun) / 1000).toFixed(0)} s\n`)
}
if (values.json) {
  const judged = rows.map((row) => ({ ...row, ratio: ratioOf(row), ok: isWithin(row) }))
  process.stdout.write(`${JSON.stringify({ rows: judged }, null, 2)}\n`)
} else process.stdout.write(table(rows))
if (values.check && rows.some((row) => isWithin(row) === false)) process.exitCode = 1

/** Returns the rows as a table in Markdown. */
function table(lines: readonly Row[]): string {
  const cells = [['what', 'ours', 'peer', 'ratio', 'bar', '']]
  for (const row of lines) {
    const { name, ours, peer, unit, bar } = row
    const ratio = ratioOf(row)
    const ok = isWithin(row)
    cells.push([
      name,
      `${figure(ours)} ${unit}`.trim(),
      peer === null ? '' : `${figure(peer.value)} ${unit} ${peer.name}`,
      ratio === null ? '' : ratio.toFixed(2),
      bar === null ? '' : `${bar.at === 'most' ? '≤' : '≥'} ${bar.value}`,
      ok === null ? '' : ok ? 'ok' : 'over',
    ])
  }
  const widths = cells[0]?.map((_, i) => Math.max(...cells.map((row) => row[i]?.length ?? 0))) ?? []
  const line = (row: readonly string[]): string =>
    `| ${row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join(' | ')} |\n`
  const [head = [], ...body] = cells
  return [head, widths.map((width) => '-'.repeat(width)), ...body].map(line).join('')
}

/** Returns a number as text: with three significant digits below 100, else as a whole number. */
function figure(value: number): string {
  return value >= 100 ? Math.round(value).toLocaleString('en') : String(+value.toPrecision(3))
}
