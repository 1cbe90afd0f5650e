import { randomBytes } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Benchmark } from './benchmark.ts'
import { measureProcesses } from './processes.ts'
import { openWorld, rootling, type World } from './world.ts'

/**
 * Measures the CPU time of commands with ten thousand certificates on record, beside an empty
 * record.
 */
export const record: Benchmark = {
  name: 'record',
  async run({ quick }) {
    const [empty, full] = await Promise.all([openWorld(), openWorld()])
    try {
      await Promise.all([fill(empty, 0), fill(full, 10_000)])
      const lines = { list: ['list'], issue: ['issue', 'localhost'], due: ['renew', '--due'] }
      const inWorld = (world: World, args: readonly string[]) => {
        const out = join(world.directory, 'out')
        return { argv: [...rootling, ...args], cwd: out, env: world.env, empty: [out] }
      }
      const cost = await measureProcesses(
        {
          list: inWorld(full, lines.list),
          listEmpty: inWorld(empty, lines.list),
          issue: inWorld(full, lines.issue),
          issueEmpty: inWorld(empty, lines.issue),
          due: inWorld(full, lines.due),
          dueEmpty: inWorld(empty, lines.due),
        },
        quick ? 3 : 25,
      )
      return (['list', 'issue', 'due'] as const).map((name) => ({
        name: `${lines[name][0]}${name === 'due' ? ' --due' : ''}, 10,000 on record`,
        unit: 'ms',
        ours: cost[name].cpu,
        peer: { name: 'none on record', value: cost[`${name}Empty`].cpu },
        bar: { at: 'most', value: 2 },
      }))
    } finally {
      await Promise.all([empty.remove(), full.remove()])
    }
  },
}

/** Writes `count` certificates into the record, ten for each file, as years of renewals would. */
async function fill(world: World, count: number): Promise<void> {
  await mkdir(join(world.directory, 'out'))
  const files = join(world.directory, 'files')
  await mkdir(files)
  const day = 86_400_000
  const lines = Array.from({ length: count }, (_, i) => {
    const name = `host${i % (count / 10)}.localhost`
    const certPath = join(files, `${name}.pem`)
    return `${JSON.stringify({
      event: 'issued',
      serialNumber: `40${randomBytes(15).toString('hex')}`,
      scope: 'local',
      identifiers: [{ type: 'dns', value: name }],
      notBefore: new Date(Date.now() - day).toISOString(),
      notAfter: new Date(Date.now() + 396 * day).toISOString(),
      keyType: 'p256',
      purpose: 'server',
      fingerprint: randomBytes(32).toString('hex'),
      certPath,
      keyPath: join(files, `${name}-key.pem`),
    })}\n`
  })
  await writeFile(join(world.state, 'certificates.jsonl'), lines.join(''), { mode: 0o600 })
  for (let i = 0; i < count / 10; i++) await writeFile(join(files, `host${i}.localhost.pem`), '')
}
