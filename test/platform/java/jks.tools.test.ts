import * as fc from 'fast-check'
import { createHash } from 'node:crypto'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { createJavaStore, parseKeystore } from '../../../platform/java/keystore.ts'
import { readJks } from '../../../platform/java/jks.ts'
import { createMachine } from '../../../platform/machine.ts'
import { installAnchors, uninstallAnchors } from '../../../src/trust/stores.ts'
import { scrubbedEnvironment } from '../../helpers/scrubbed.ts'
import { run } from '../../helpers/subprocess.ts'
import { makeAnchor } from '../world.ts'

const system = '/etc/ssl/certs/java/cacerts'
const hasKeytool = existsSync('/usr/bin/keytool')
const why = hasKeytool ? '' : ': no keytool is on this machine'

async function keytool(args: readonly string[], input = ''): Promise<string> {
  const said = await run('/usr/bin/keytool', args, scrubbedEnvironment('/tmp'), { input })
  expect(said.exitCode, said.stdout + said.stderr).toBe(0)
  return said.stdout
}

/** A keystore of Java's own format, made by keytool: a key with its chain, and two roots. */
async function makeKeystore(password = 'changeit') {
  const directory = mkdtempSync(join(tmpdir(), 'rootling-jks-'))
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }))
  const file = join(directory, 'store.jks')
  const store = ['-keystore', file, '-storepass', password, '-storetype', 'JKS']
  const name = ['-alias', 'server', '-dname', 'CN=localhost', '-keypass', password]
  await keytool(['-genkeypair', '-keyalg', 'EC', ...name, ...store])
  const anchors = { 'rootling-1': makeAnchor(), größe: makeAnchor() }
  for (const [alias, { pem }] of Object.entries(anchors))
    await keytool(['-importcert', '-noprompt', '-alias', alias, ...store], pem)
  return { bytes: readFileSync(file), anchors, store }
}

test.skipIf(!hasKeytool)(`reads a keystore of keytool's as keytool does${why}`, async () => {
  const { bytes, anchors, store } = await makeKeystore()
  const read = readJks(bytes, 'changeit') ?? []
  expect(new Map(read.map(({ alias, der }) => [alias, der.toString('hex')]))).toEqual(
    new Map(Object.entries(anchors).map(([alias, { der }]) => [alias, der.toString('hex')])),
  )
  const listed = parseKeystore(await keytool(['-list', '-rfc', ...store]))
  expect(read.map(({ der }) => der.toString('hex')).toSorted()).toEqual(
    listed.map(({ der }) => der.toString('hex')).toSorted(),
  )
})

test.skipIf(!hasKeytool || !existsSync(system))(
  `reads this machine's keystore as keytool does${why}`,
  async () => {
    const read = readJks(readFileSync(system), 'changeit')
    const target = ['-keystore', system, '-storepass', 'changeit']
    const listed = parseKeystore(await keytool(['-list', '-rfc', ...target]))
    expect(listed.length).toBeGreaterThan(10)
    const byAlias = (entries: readonly { alias: string; der: Buffer }[]) =>
      new Map(entries.map(({ alias, der }) => [alias, der.toString('hex')]))
    expect(byAlias(read ?? [])).toEqual(byAlias(listed))
  },
)

test.skipIf(!hasKeytool)(`leaves to keytool what is sealed otherwise${why}`, async () => {
  const { bytes } = await makeKeystore('another')
  expect(readJks(bytes, 'changeit')).toBeNull()
  expect(readJks(bytes, 'another')).not.toBeNull()
  fc.assert(
    fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
      const damaged = Buffer.from(bytes)
      damaged[at] = (damaged[at] ?? 0) ^ change
      expect(readJks(damaged, 'another')).toBeNull()
      expect(readJks(bytes.subarray(0, at), 'another')).toBeNull()
    }),
    { numRuns: 500 },
  )
})

test('reads or leaves whatever is sealed properly, and never throws', () => {
  const head = Buffer.from('feedfeed00000002', 'hex')
  const piece = fc.oneof(
    fc
      .constantFrom('00000001', '00000002', 'ffffffff', '0001', '0000', '61')
      .map((hex) => Buffer.from(hex, 'hex')),
    fc.uint8Array({ maxLength: 12 }).map((bytes) => Buffer.from(bytes)),
  )
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 20 }), (pieces) => {
      const body = Buffer.concat([head, ...pieces])
      const secret = Buffer.from('changeit', 'utf16le').swap16()
      const sealed = createHash('sha1').update(secret).update('Mighty Aphrodite').update(body)
      const read = readJks(Buffer.concat([body, sealed.digest()]), 'changeit')
      expect(read === null || Array.isArray(read)).toBe(true)
    }),
    { numRuns: 5_000 },
  )
})

test.skipIf(!hasKeytool).each(['JKS', 'PKCS12'])(
  `several roots cost one run of keytool in a keystore of type %s${why}`,
  async (type) => {
    const directory = mkdtempSync(join(tmpdir(), 'rootling-jks-'))
    onTestFinished(() => rmSync(directory, { recursive: true, force: true }))
    const file = join(directory, 'cacerts')
    const own = ['-keystore', file, '-storepass', 'changeit', '-storetype', type]
    const theirs = makeAnchor()
    await keytool(['-importcert', '-noprompt', '-alias', 'theirs', ...own], theirs.pem)
    const commands: string[] = []
    const env = { ...scrubbedEnvironment(directory) }
    const machine = await createMachine({ env, onCommand: (each) => commands.push(each) })
    const keystore = { file, keytool: '/usr/bin/keytool', title: 'Java' }
    const store = createJavaStore(machine, keystore)
    const anchors = [makeAnchor(), makeAnchor(), makeAnchor()]
    const installed = await installAnchors([store], anchors)
    expect(installed.map(({ outcome }) => outcome)).toEqual(anchors.map(() => 'installed'))
    expect(commands).toHaveLength(1)
    const listed = parseKeystore(await keytool(['-list', '-rfc', ...own]))
    expect(listed.map(({ alias }) => alias).toSorted()).toEqual(
      ['theirs', ...anchors.map(({ name }) => name)].toSorted(),
    )
    const removed = await uninstallAnchors([createJavaStore(machine, keystore)], anchors)
    expect(removed.map(({ outcome }) => outcome)).toEqual(anchors.map(() => 'removed'))
    expect(await store.has(theirs)).toBe(true)
  },
)
