import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { refuseCostlyPkcs12 } from '../../src/x509/pkcs12-cost.ts'
import { temporaryDirectory } from '../helpers/temporary.ts'
import { runTool } from '../helpers/tools.ts'

/** Makes a PKCS #12 file with 70,000 iterations for the key, the certificate and the MAC. */
async function makeFile(...more: string[]): Promise<Buffer> {
  const directory = await temporaryDirectory()
  const [key, cert, file] = ['k.pem', 'c.pem', 'c.p12'].map((name) => join(directory, name)) as [
    string,
    string,
    string,
  ]
  const made = ['-x509', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=alice']
  await runTool('openssl', ['req', ...made, '-keyout', key, '-out', cert])
  const args = ['-export', '-in', cert, '-inkey', key, '-passout', 'pass:x', '-out', file, ...more]
  const { exitCode, stderr } = await runTool('openssl', ['pkcs12', ...args])
  if (exitCode !== 0) throw new Error(stderr)
  return readFileSync(file)
}

const counted = ['-iter', '70000']
const count = Buffer.from('0203011170', 'hex')
const refusal = { code: 'bad-key', message: expect.stringMatching(/^a\.p12 wants \d+ iterations/) }

test.each([
  ['PBES2', []],
  ['the older schemes', ['-certpbe', 'PBE-SHA1-3DES', '-keypbe', 'PBE-SHA1-3DES']],
])('refuses absurd iteration counts anywhere in a file by %s', async (_, scheme) => {
  const good = await makeFile(...counted, ...scheme)
  expect(() => refuseCostlyPkcs12(good, 'a.p12')).not.toThrow()
  const places: number[] = []
  for (let at = good.indexOf(count); at >= 0; at = good.indexOf(count, at + 1)) places.push(at)
  // The certificate, the key and the MAC.
  expect(places).toHaveLength(3)
  for (const at of places) {
    const absurd = Buffer.from(good)
    absurd.write('7fffff', at + 2, 'hex')
    expect(() => refuseCostlyPkcs12(absurd, 'a.p12')).toThrow(expect.objectContaining(refusal))
    // The same in BER, which our reader of DER does not take.
    const ber = Buffer.concat([Buffer.from([0x30, 0x80]), absurd.subarray(4), Buffer.alloc(2)])
    expect(() => refuseCostlyPkcs12(ber, 'a.p12')).toThrow(expect.objectContaining(refusal))
  }
})

test('takes every other file, in time', () => {
  for (const contents of ['', 'text', '\u0004'.repeat(1_000_000), '0\u0080'.repeat(500_000)])
    expect(() => refuseCostlyPkcs12(Buffer.from(contents, 'latin1'), 'a.p12')).not.toThrow()
})
