import { generateKeyPairSync, sign } from 'node:crypto'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { readScopes } from '../../src/authority/scope.ts'
import { openSigner } from '../../src/authority/signer.ts'
import { signLeaf } from '../../src/certificates/leaf.ts'
import { parseIdentifier } from '../../src/x509/identifier.ts'
import { generateKeys } from '../../src/x509/keys.ts'
import { encodePem } from '../../src/x509/pem.ts'
import { median, type Benchmark } from './benchmark.ts'
import { openWorld } from './world.ts'
import { keysOf } from '../../src/storage/files/keys.ts'

/**
 * Measures certificates issued per second of CPU time in one thread, beside key generation and
 * signature alone.
 */
export const issuing: Benchmark = {
  name: 'issuing',
  async run({ quick }) {
    const world = await openWorld()
    try {
      const state = { path: world.state, owner: null }
      const now = new Date()
      const [scope] = await readScopes(state)
      if (scope === undefined) throw new Error('no authority')
      const signer = await openSigner(keysOf(state), scope, now)
      const identifiers = [parseIdentifier('localhost'), parseIdentifier('127.0.0.1')]
      const full = async (): Promise<void> => {
        const keys = await generateKeys('p256')
        const request = { identifiers, purpose: 'server', keyType: 'p256', lifetime: 90 } as const
        await signLeaf({ ...request, spki: keys.spki }, scope, signer, now)
        encodePem('PRIVATE KEY', keys.pkcs8)
      }
      const options = {
        namedCurve: 'P-256',
        publicKeyEncoding: { type: 'spki', format: 'der' },
        privateKeyEncoding: { type: 'pkcs8', format: 'der' },
      } as const
      const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
      const message = Buffer.alloc(500)
      const bare = async (): Promise<void> => {
        generateKeyPairSync('ec', options)
        sign('sha256', message, privateKey)
      }
      const rates = { ours: [] as number[], bare: [] as number[] }
      for (let round = 0; round < (quick ? 4 : 20); round++) {
        rates.ours.push(await rateOf(full, quick ? 200 : 2_000))
        rates.bare.push(await rateOf(bare, quick ? 200 : 2_000))
      }
      const ours = median(rates.ours)
      const peer = { name: 'P-256 key + signature', value: median(rates.bare) }
      return [
        { name: 'issue in process', unit: '/s', ours, peer, bar: { at: 'least', value: 0.6 } },
        {
          name: 'longest wait while an RSA key is made',
          unit: 'ms',
          ours: await stall(quick ? 'rsa2048' : 'rsa4096'),
          peer: null,
          bar: { at: 'most', value: 50 },
        },
      ]
    } finally {
      await world.remove()
    }
  },
}

async function rateOf(work: () => Promise<void>, count: number): Promise<number> {
  const before = process.cpuUsage()
  for (let i = 0; i < count; i++) await work()
  const { user, system } = process.cpuUsage(before)
  return count / ((user + system) / 1e6)
}

/**
 * Returns the longest time that the main thread was blocked while it made a key, in milliseconds.
 */
async function stall(type: 'rsa2048' | 'rsa4096'): Promise<number> {
  const delay = monitorEventLoopDelay({ resolution: 1 })
  await new Promise((resolve) => setTimeout(resolve, 50))
  delay.enable()
  await generateKeys(type)
  delay.disable()
  return delay.max / 1e6
}
