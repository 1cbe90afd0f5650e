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
        name: 'CPU time to import rootling/test',
        unit: 'ms',
        ours: await loading(quick ? 5 : 40),
        peer: null,
        bar: bar(20),
      },
    ]
  },
}

async function timeOf(work: () => Promise<unknown>): Promise<number> {
  const begun = performance.now()
  await work()
  return performance.now() - begun
}

/** Returns the CPU time that the import adds to a module that imports nothing, in milliseconds. */
async function loading(rounds: number): Promise<number> {
  const entry = JSON.stringify(join(process.cwd(), 'dist/ephemeral/index.js'))
  const module = (script: string) => ({
    argv: [process.execPath, '--input-type=module', '-e', script],
    cwd: process.cwd(),
    env: scrubbedEnvironment('/tmp'),
  })
  const commands = { empty: module(''), entry: module(`import ${entry}`) }
  const { empty, entry: loaded } = await measureProcesses(commands, rounds)
  return loaded.cpu - empty.cpu
}
