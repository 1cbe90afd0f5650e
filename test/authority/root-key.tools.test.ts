import { createHash, createPrivateKey } from 'node:crypto'
import { readdir, readFile, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { readScopes } from '../../src/authority/scope.ts'
import { ensureAuthority } from '../../src/authority/create.ts'
import { keyIdentifier } from '../../src/x509/keys.ts'
import { bundleChild, workplace, type Bundle } from '../outside/crash/processes.ts'
import { hasTool, runTool } from '../helpers/tools.ts'
import { temporaryState } from '../helpers/temporary.ts'

let bundle: Bundle

beforeAll(async () => {
  bundle = await bundleChild()
})
afterAll(() => bundle.remove())

const pkcs8 = /-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?-----END [A-Z ]*PRIVATE KEY-----/g
/** The DER of every P-256 private key holds this: ECPrivateKey, version 1, 32 octets. */
const ecPrivateKey = Buffer.from('0201010420', 'hex')

test('the one private key in the state directory is the intermediate’s', async () => {
  const state = await temporaryState()
  const { scope } = await ensureAuthority(state, new Date())
  const keys: string[] = []
  for (const name of await readdir(state.path, { recursive: true })) {
    const path = join(state.path, name)
    if (!(await stat(path)).isFile()) continue
    const bytes = await readFile(path)
    expect(bytes.includes(ecPrivateKey)).toBe(false)
    keys.push(...(bytes.toString('latin1').match(pkcs8) ?? []))
  }
  expect(keys).toHaveLength(1)
  const key = createPrivateKey(keys[0] ?? '')
  expect(scope.intermediate.checkPrivateKey(key)).toBe(true)
  expect(scope.root.checkPrivateKey(key)).toBe(false)
})

const strace =
  (await hasTool('strace')) && (await runTool('strace', ['-o', '/dev/null', 'true'])).exitCode === 0
const skipped = strace ? '' : ' (skipped: strace cannot be used here)'

/** The octets that strace printed with -xx, every buffer of a call in order. */
function octets(call: string): Buffer {
  const texts = [...call.matchAll(/"((?:\\x[0-9a-f]{2})*)"/g)].map(([, hex]) => hex ?? '')
  return Buffer.from(texts.join('').replaceAll(String.raw`\x`, ''), 'hex')
}

/** Every P-256 private key in some octets, as PEM, DER or base64 of either. */
function privateKeysIn(bytes: Buffer): string[] {
  const found: string[] = []
  const text = bytes.toString('latin1')
  const bodies = [...text.matchAll(/[A-Za-z0-9+/=\r\n]{60,}/g)].map(([body]) =>
    Buffer.from(body, 'base64'),
  )
  for (const der of [bytes, ...bodies])
    for (let at = der.indexOf(ecPrivateKey); at >= 0; at = der.indexOf(ecPrivateKey, at + 1))
      found.push(der.subarray(at + 5, at + 37).toString('hex'))
  return found
}

test.skipIf(!strace)(`the root’s private key reaches no file and no socket${skipped}`, async () => {
  const { root, state } = await workplace()
  onTestFinished(() => rm(root, { recursive: true, force: true }))
  const log = join(root, 'strace.log')
  const calls = 'write,pwrite64,writev,pwritev,pwritev2,sendto,sendmsg,openat,open,rename,renameat2'
  const options = [
    '-f',
    '-xx',
    '-s',
    '1000000',
    '-e',
    `trace=${calls},mmap,memfd_create,io_uring_setup`,
    '-o',
    log,
  ]
  const child = [process.execPath, bundle.path, 'create', '--state', state]
  const { exitCode, stderr } = await runTool('strace', [...options, ...child])
  expect(`${exitCode} ${stderr}`).toBe('0 ')

  const [scope] = await readScopes({ path: state, owner: null })
  const stored = createPrivateKey(
    await readFile(join(state, 'scopes', 'local', 'intermediate-key.pem')),
  )
  const scalar = Buffer.from(stored.export({ format: 'jwk' }).d ?? '', 'base64url').toString('hex')
  const lines = (await readFile(log, 'latin1')).split('\n')
  const writes = lines.filter((line) => /\b(p?writev?2?|pwrite64|send\w+)\(/.test(line))
  const written = writes.map(octets)
  // The watch sees what it is to see: the intermediate's key, and the root's certificate.
  const seen = written.flatMap(privateKeysIn)
  expect(new Set(seen)).toEqual(new Set([scalar]))
  const hash = createHash('sha256').update(scope?.root.toString() ?? '')
  const hashes = written.map((bytes) => createHash('sha256').update(bytes).digest('hex'))
  expect(hashes).toContain(hash.digest('hex'))
  // Nothing is mapped from a file for writing, where no call would show what was stored. A ring of
  // io_uring is such a mapping; libuv puts file operations only into one with IORING_SETUP_SQPOLL
  // (src/unix/linux.c), and others into none.
  const setups = lines.filter((line) => line.includes('io_uring_setup('))
  expect(setups.filter((line) => line.includes('IORING_SETUP_SQPOLL'))).toEqual([])
  const rings = new Set(setups.map((line) => / = (\d+)$/.exec(line)?.[1]))
  const shared = lines.filter((line) => /mmap\(.*PROT_WRITE.*MAP_SHARED(?!.*ANON)/.test(line))
  const ofFiles = shared.filter((line) => !rings.has(/, (\d+), \w+\) = /.exec(line)?.[1]))
  expect(ofFiles.filter((line) => !line.includes(', -1, 0)'))).toEqual([])
})

test('the certificates name their keys by the keys’ own hashes', async () => {
  const { scope } = await ensureAuthority(await temporaryState(), new Date())
  const spki = scope.intermediate.publicKey.export({ format: 'der', type: 'spki' })
  expect(scope.issuerKeyIdentifier).toEqual(keyIdentifier(spki))
  // RFC 7093 method 1, computed over the point alone, which ends a P-256 SPKI.
  const point = createHash('sha256').update(spki.subarray(-65)).digest().subarray(0, 20)
  expect(scope.issuerKeyIdentifier).toEqual(point)
})
