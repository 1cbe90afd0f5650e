import { once } from 'node:events'
import { mkdtemp, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { build } from 'rolldown'
import { expect, onTestFinished, test } from 'vitest'
import { ensureAuthority } from '../../../src/authority/create.ts'
import { makeCrl } from '../../../src/certificates/crl.ts'
import { readDer } from '../../../src/x509/asn1-reader.ts'
import { oids } from '../../../src/x509/oids.ts'
import { scrubbedEnvironment } from '../../helpers/scrubbed.ts'
import { killGroup, start } from '../../helpers/subprocess.ts'
import { long, tally } from '../../helpers/long.ts'
import { temporaryState } from '../../helpers/temporary.ts'
import { fileStorage } from '../../../src/storage/files/storage.ts'

const kills = long ? 60 : 12

async function bundleChild(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'rootling-child-'))
  onTestFinished(() => rm(directory, { recursive: true, force: true }))
  const path = join(directory, 'child.mjs')
  await build({
    input: join(import.meta.dirname, 'number-child.ts'),
    platform: 'node',
    external: [/^node:/, 'fs-native-extensions', 'env-paths', /^node-forge/],
    output: { file: path, format: 'esm', codeSplitting: false },
    logLevel: 'silent',
  })
  await symlink(resolve('node_modules'), join(directory, 'node_modules'))
  return path
}

/** The cRLNumber, found by its object identifier. */
function numberIn(crl: Buffer): number {
  const at = crl.indexOf(oids.crlNumber) + oids.crlNumber.length
  const octets = readDer(crl.subarray(at, at + 2 + (crl[at + 1] ?? 0)), 'The extension').contents
  return Number(`0x${readDer(octets, 'The number').contents.toString('hex')}`)
}

const options = { timeout: 900_000 + kills * 20_000 }

test('no number is used twice, however often the maker is killed', options, async () => {
  const state = await temporaryState()
  await ensureAuthority(state, new Date('2001-01-01'))
  const child = await bundleChild()
  const seen: number[] = []
  for (let round = 0; round < kills; round++) {
    const running = start(process.execPath, [child, state.path], scrubbedEnvironment(state.path))
    let output = ''
    running.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
    const closed = once(running, 'close')
    await once(running.stdout, 'data')
    await new Promise((done) => setTimeout(done, (round % 12) * 7))
    killGroup(running)
    tally('kills of a CRL’s maker', 1)
    await closed
    const complete = output.split('\n').slice(0, -1)
    seen.push(...complete.map((line) => numberIn(Buffer.from(line, 'base64'))))
  }
  seen.push(numberIn(await makeCrl(fileStorage(state), 'local', new Date('2001-01-01'))))
  expect(seen.length).toBeGreaterThan(kills)
  expect(seen).toEqual([...new Set(seen)].toSorted((a, b) => a - b))
})
