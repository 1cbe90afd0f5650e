import { appendFileSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { createAcmeAuthority } from '../../src/acme/acme-authority.ts'
import { readScopes } from '../../src/authority/scope.ts'
import { createRevocationSource } from '../../src/sites/revocation/source.ts'
import { recordIssued } from '../../src/storage/files/record.ts'
import { fileStorage } from '../../src/storage/files/storage.ts'
import { certificate, issued, linesOf, serialOf } from '../../test/helpers/filled-record.ts'
import { median, type Benchmark, type Row } from './benchmark.ts'
import { ocspRequestFor } from './ocsp-request.ts'
import { measureProcesses } from './processes.ts'
import { startDaemon } from './servers.ts'
import { openWorld, rootling, type World } from './world.ts'

/**
 * Measures what commands and the daemon's answers cost with many certificates on record: each answer
 * right after an issuance by another process.
 */
export const scale: Benchmark = {
  name: 'scale',
  async run({ quick }) {
    const rows: Row[] = []
    let without: number | null = null
    for (const count of quick ? [0, 1_000] : [0, 1_000, 10_000, 100_000]) {
      const world = await openWorld()
      try {
        fill(world, count)
        const isMost = count === 100_000
        const limit = (value: number): Row['bar'] => (isMost ? { at: 'most', value } : null)
        const onRecord = `${count.toLocaleString('en')} on record`
        const row = (name: string, ours: number, bar: Row['bar'], unit: Row['unit'] = 'ms') =>
          rows.push({ name: `${name}, ${onRecord}`, unit, ours, peer: null, bar })
        const { issue, list } = await commandsOf(world, quick ? 1 : 5)
        without ??= issue.cpu
        rows.push({
          name: `issue, CPU, ${onRecord}`,
          unit: 'ms',
          ours: issue.cpu,
          peer: { name: 'none on record', value: without },
          bar: limit(2),
        })
        row('list --json', list.wall, limit(2_000))
        row('list --json, peak memory', list.memory, limit(150), 'MiB')
        const answers = await answersOf(world, count, quick ? 5 : 50)
        row('ARI, CPU', answers.ari, limit(1))
        row('OCSP, CPU', answers.ocsp, limit(1))
        row('CRL, CPU', answers.crl, limit(1))
        row('daemon start', await startOf(world), null)
      } finally {
        await world.remove()
      }
    }
    return rows
  },
}

const day = 86_400_000

function fill(world: World, count: number): void {
  const [notBefore, notAfter] = [-1, 300].map((days) =>
    new Date(Date.now() + days * day).toISOString(),
  )
  if (notBefore === undefined || notAfter === undefined) throw new RangeError('no dates')
  const events = Array.from({ length: count }, (_, i) =>
    issued(i, { notBefore, notAfter, certPath: join(world.directory, `gone/host${i}.pem`) }),
  )
  appendFileSync(join(world.state, 'certificates.jsonl'), linesOf(events), { mode: 0o600 })
}

async function commandsOf(world: World, rounds: number) {
  const out = join(world.directory, 'out')
  mkdirSync(out)
  const inWorld = (...args: string[]) => ({
    argv: [...rootling, ...args],
    cwd: out,
    env: world.env,
  })
  return measureProcesses(
    { issue: inWorld('issue', 'localhost'), list: inWorld('list', '--json') },
    rounds,
  )
}

/** Returns the median CPU times of answers in this process, in milliseconds. */
async function answersOf(world: World, count: number, rounds: number) {
  const now = () => new Date()
  const state = { path: world.state, owner: null }
  const [scope] = await readScopes(state)
  if (scope === undefined) throw new Error('no authority')
  const acme = createAcmeAuthority({ storage: fileStorage(state), now })
  const source = createRevocationSource(fileStorage(state), now)
  const request = ocspRequestFor(scope, serialOf(count))
  const questions = {
    ari: () => acme.find(serialOf(count)),
    ocsp: () => source.answer(request),
    crl: () => source.crl('local'),
  }
  const times = { ari: [] as number[], ocsp: [] as number[], crl: [] as number[] }
  // Another object has an index of its own, as another process.
  const elsewhere = { ...state }
  for (let i = 0; i <= rounds; i++)
    for (const name of ['ari', 'ocsp', 'crl'] as const) {
      const serial = count + 3 * i + ['ari', 'ocsp', 'crl'].indexOf(name)
      await recordIssued(elsewhere, [certificate(serial, { certPath: null })])
      const begun = process.cpuUsage()
      await questions[name]()
      const { user, system } = process.cpuUsage(begun)
      // The first round builds the index and the CRL.
      if (i > 0) times[name].push((user + system) / 1_000)
    }
  return { ari: median(times.ari), ocsp: median(times.ocsp), crl: median(times.crl) }
}

/** Returns how long the daemon takes until it answers, in milliseconds. */
async function startOf(world: World): Promise<number> {
  const begun = performance.now()
  const daemon = await startDaemon(world, 80)
  const took = performance.now() - begun
  await daemon.stop()
  return took
}
