import { join } from 'node:path'
import { generate } from 'selfsigned'
import { ephemeralAuthority } from '../../src/ephemeral/index.ts'
import { scrubbedEnvironment } from '../../test/helpers/scrubbed.ts'
import { median, type Benchmark } from './benchmark.ts'
import { measureProcesses } from './processes.ts'

/**
 * Measures certificates of an authority in memory, beside the package selfsigned, which signs with
 * such an authority too, and the CPU time of loading the entry.
 */
export const ephemeral: Benchmark = {
  name: 'ephemeral',
  async run({ quick }) {
    const ca = await ephemeralAuthority()
    const names = ['localhost', '127.0.0.1', '::1']
    const subject = [{ name: 'commonName', value: 'localhost' }]
    const ec = { keyType: 'ec', curve: 'P-256', algorithm: 'sha256' } as const
    const peer = await generate(subject, ec)
    const signed = { ...ec, ca: { key: peer.private, cert: peer.cert } }
    const times = {
      ours: [] as number[],
      theirs: [] as number[],
      authority: [] as number[],
    }
    for (let round = 0; round < (quick ? 50 : 1_000); round++) {
      times.ours.push(await timeOf(() => ca.certificate(names)))
      times.theirs.push(await timeOf(() => generate(subject, signed)))
      times.authority.push(await timeOf(() => ephemeralAuthority()))
    }
    const ours = median(times.ours)
    const selfsigned = { name: 'selfsigned', value: median(times.theirs) }
    const { empty, entry } = await loading(quick ? 5 : 40)
    const bar = (value: number) => ({ at: 'most', value }) as const
    return [
      { name: 'leaf in memory', unit: 'ms', ours, peer: null, bar: bar(1) },
      { name: 'leaf in memory, beside another', unit: 'ms', ours, peer: selfsigned, bar: bar(1) },
      {
        name: 'authority in memory',
        unit: 'ms',
        ours: median(times.authority),
        peer: null,
        bar: bar(5),
      },
      {
        name: 'import rootling/test, CPU time',
        unit: 'ms',
        ours: entry.cpu,
        peer: { name: 'node', value: empty.cpu },
        // Twenty milliseconds where Node alone takes fifty.
        bar: bar(1.4),
      },
    ]
  },
}

async function timeOf(work: () => Promise<unknown>): Promise<number> {
  const begun = performance.now()
  await work()
  return performance.now() - begun
}

/** Measures Node with a module that imports nothing, and with one that imports the entry. */
function loading(rounds: number) {
  const path = JSON.stringify(join(process.cwd(), 'dist/ephemeral/index.js'))
  const module = (script: string) => ({
    argv: [process.execPath, '--input-type=module', '-e', script],
    cwd: process.cwd(),
    env: scrubbedEnvironment('/tmp'),
  })
  return measureProcesses({ empty: module(''), entry: module(`import ${path}`) }, rounds)
}
