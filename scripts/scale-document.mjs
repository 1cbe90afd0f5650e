// `npm run scale`: measures how one machine does with many of everything, and writes docs/scale.md.
//   --quick         a short form with few of everything, which prints and writes nothing
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { cpus, totalmem } from 'node:os'
import { join } from 'node:path'
import { root } from './prepare.mjs'

const quick = process.argv.includes('--quick')

function measure(name) {
  const args = [join(root, 'scripts/bench/run.mjs'), '--json', '--only', name]
  const { status, stdout } = spawnSync(process.execPath, quick ? [...args, '--quick'] : args, {
    stdio: ['ignore', 'pipe', 'inherit'],
    encoding: 'utf8',
    maxBuffer: 16 * 1024 * 1024,
  })
  if (status !== 0) process.exit(status ?? 1)
  return JSON.parse(stdout).rows
}

const figure = (value) =>
  value >= 100 ? Math.round(value).toLocaleString('en') : String(Number(value.toPrecision(2)))

/** Returns one row of Markdown; the peer is the same with one of its kind, or with none. */
const line = ({ name, ours, peer, unit }) =>
  `| ${name} | ${figure(ours)} ${unit} | ${peer === null ? '' : `${figure(peer.value)} ${unit}`} |`

// 'team scale' is another one.
const record = measure('scale').filter(({ name }) => !name.includes('PostgreSQL'))
const rows = [...measure('many'), ...record]
const document = `# One machine with many of everything

Made by \`npm run scale\` on Linux, with ${cpus().length} processors and ${Math.round(totalmem() / 2 ** 30)} GiB of memory that other programs used as well; Node ${process.versions.node}. Times are medians of the wall clock unless they say CPU. The last column has the same with one name, project or profile, or without a certificate on record.

| what | many | one |
|---|---|---|
${rows.map(line).join('\n')}

The proxy keeps at most 1,000 names, and says so for one more. Each profile of Firefox costs the time of NSS's own \`certutil\`, which opens its database anew for each question.
`
if (quick) process.stdout.write(document)
else writeFileSync(join(root, 'docs/scale.md'), document)
