import { X509Certificate } from 'node:crypto'
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
} from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { builtPrograms } from '../../helpers/built.ts'
import { namespaceUnavailable } from '../../helpers/namespace.ts'
import { testNamespace } from '../../helpers/test-namespace.ts'
import { findRoot } from '../../helpers/store-contents.ts'
import { makeRoot, makeSigned, openPlace, type Algorithm, type Place } from './authorities.ts'
import { mkcertMissing, realMkcert } from './both.ts'

const built = builtPrograms()

const encrypted = { passphrase: 'a long one' }
const forms: readonly {
  form: string
  algorithm: Algorithm
  convert: string
  label: RegExp
  passphrase?: string
}[] = [
  { form: 'PKCS #8', algorithm: 'rsa', convert: 'pkey', label: /BEGIN PRIVATE KEY/ },
  { form: 'SEC1', algorithm: 'ec', convert: 'pkey -traditional', label: /BEGIN EC PRIVATE KEY/ },
  { form: 'PKCS #1', algorithm: 'rsa', convert: 'pkey -traditional', label: /BEGIN RSA PRIVATE/ },
  {
    form: 'encrypted PKCS #8',
    algorithm: 'ec',
    convert: 'pkey -aes256 -passout file:passphrase',
    label: /BEGIN ENCRYPTED PRIVATE KEY/,
    ...encrypted,
  },
  {
    form: 'encrypted SEC1',
    algorithm: 'ec',
    convert: 'pkey -traditional -aes256 -passout file:passphrase',
    label: /Proc-Type: 4,ENCRYPTED/,
    ...encrypted,
  },
  {
    form: 'encrypted PKCS #1',
    algorithm: 'rsa',
    convert: 'pkey -traditional -aes128 -passout file:passphrase',
    label: /Proc-Type: 4,ENCRYPTED/,
    ...encrypted,
  },
]

const isRoot = process.geteuid?.() === 0
const someoneElse = 12_345

/** Files of a root that are not adopted: what is wrong, the sentence, and the command that mends. */
const looseFiles: readonly {
  what: keyof typeof loosening
  by: 'mode' | 'owner'
  says: (path: string) => string
  mend: string
}[] = [
  ...(['0644', '0666', '0640'] as const).map((mode) => ({
    what: `a key of mode ${mode}` as const,
    by: 'mode' as const,
    says: (path: string) => `Others can read the private key ${path} (mode ${mode}).`,
    mend: 'chmod 600',
  })),
  {
    what: 'a key of another user',
    by: 'owner',
    says: (path) => `The private key ${path} belongs to another user.`,
    mend: `sudo chown ${process.geteuid?.()}`,
  },
  {
    what: 'a root that others can write to',
    by: 'mode',
    says: (path) => `Others can write to the root ${path} (mode 0666).`,
    mend: 'chmod 644',
  },
  {
    what: 'a root of another user',
    by: 'owner',
    says: (path) => `The root ${path} belongs to another user.`,
    mend: `sudo chown ${process.geteuid?.()}`,
  },
]

/** How each of those faults is made. */
const loosening = {
  'a key of mode 0644': (_root: string, key: string) => chmodSync(key, 0o644),
  'a key of mode 0666': (_root: string, key: string) => chmodSync(key, 0o666),
  'a key of mode 0640': (_root: string, key: string) => chmodSync(key, 0o640),
  'a key of another user': (_root: string, key: string) => chownSync(key, someoneElse, someoneElse),
  'a root that others can write to': (root: string) => chmodSync(root, 0o666),
  'a root of another user': (root: string) => chownSync(root, someoneElse, someoneElse),
}

function loosen(root: string, key: string, what: keyof typeof loosening): void {
  loosening[what](root, key)
}

describe('rootling-mkcert with a CA of mkcert in $CAROOT', () => {
  for (const { what, by, says, mend } of looseFiles)
    test.skipIf(by === 'owner' && !isRoot)(`refuses ${what}, and makes no scope`, async () => {
      const { place, caroot, mkcert } = await carootOf()
      const [root, key] = [join(caroot, 'rootCA.pem'), join(caroot, 'rootCA-key.pem')]
      loosen(root, key, what)
      const path = what.includes('root') ? root : key
      const { exitCode, stderr } = await mkcert(['shop.test'])
      expect([exitCode, stderr]).toEqual([1, `ERROR: ${says(path)}\n  → ${mend} ${path}\n`])
      expect(readdirSync(caroot).toSorted()).toEqual(['rootCA-key.pem', 'rootCA.pem'])
      expect(existsSync(join(place.path, 'shop.test.pem'))).toBe(false)
      execFileSync('sh', ['-c', `${mend.replace('sudo ', '')} ${path}`])
      expect((await mkcert(['shop.test'])).exitCode).toBe(0)
    })

  test('refuses a directory that others can write to', async () => {
    const { caroot, mkcert } = await carootOf()
    chmodSync(caroot, 0o775)
    const { exitCode, stderr } = await mkcert(['shop.test'])
    expect([exitCode, stderr]).toEqual([1, expect.stringContaining(`chmod 700 ${caroot}`)])
    expect(readdirSync(caroot).toSorted()).toEqual(['rootCA-key.pem', 'rootCA.pem'])
  })

  test.skipIf(!isRoot)('does not trust a root of another user that is there alone', async () => {
    const { caroot, mkcert } = await carootOf()
    const root = join(caroot, 'rootCA.pem')
    rmSync(join(caroot, 'rootCA-key.pem'))
    chownSync(root, someoneElse, someoneElse)
    const { exitCode, stderr } = await mkcert(['-install'])
    expect([exitCode, stderr]).toEqual([1, expect.stringContaining('belongs to another user')])
  })

  async function carootOf() {
    const place = openPlace()
    const caroot = join(place.path, 'caroot')
    mkdirSync(caroot, { mode: 0o755 })
    await makeRoot(place, 'old')
    renameSync(join(place.path, 'old.pem'), join(caroot, 'rootCA.pem'))
    renameSync(join(place.path, 'old.key'), join(caroot, 'rootCA-key.pem'))
    chmodSync(join(caroot, 'rootCA-key.pem'), 0o400)
    const env = { CAROOT: caroot, TRUST_STORES: 'none' }
    return { place, caroot, mkcert: (args: string[]) => place.run(built.mkcert, args, env) }
  }
})

describe('rootling ca import', () => {
  test.for(forms)(
    'adopts a root of OpenSSL’s, its key in $form',
    async ({ algorithm, convert, label, passphrase }) => {
      const place = openPlace()
      place.write('passphrase', `${passphrase ?? ''}\n`)
      await makeRoot(place, 'old', algorithm)
      await makeRoot(place, 'stranger', algorithm)
      await place.openssl(`${convert} -in old.key -out form.key`)
      expect(place.read('form.key')).toMatch(label)
      const files = ['--cert', 'old.pem', '--key', 'form.key']
      if (passphrase !== undefined) {
        const unasked = await rootling(place, ['ca', 'import', ...files])
        expect([unasked.exitCode, unasked.stderr]).toEqual([
          2,
          expect.stringContaining('--password-file'),
        ])
        place.write('wrong', 'another one\n')
        const wrong = await rootling(place, ['ca', 'import', ...files, '--password-file', 'wrong'])
        expect(wrong.exitCode).toBe(1)
        files.push('--password-file', 'passphrase')
      }
      const { exitCode, stderr } = await rootling(place, ['ca', 'import', ...files])
      expect([exitCode, stderr]).toEqual([0, expect.stringContaining('may sign any name')])
      await expectIssues(place, 'old.pem', 'stranger.pem')
    },
  )

  test.each([
    ['permitted;IP:10.0.0.0/255.0.255.0', false],
    ['excluded;DNS:bank.com', false],
    ['permitted;IP:10.0.0.0/255.0.0.0', true],
    ['permitted;DNS:test', true],
  ])('takes only name constraints that a rotated root can repeat: %s', async (value, taken) => {
    const place = openPlace()
    await makeRoot(place, 'old', 'ec', `nameConstraints=critical,${value}`)
    const { exitCode, stderr } = await rootling(place, [
      ...['ca', 'import', '--cert', 'old.pem', '--key', 'old.key', '--name', 'old'],
    ])
    expect([exitCode, stderr]).toEqual([
      taken ? 0 : 1,
      expect.stringContaining(taken ? '' : 'name constraints that cannot be kept here'),
    ])
  })

  test('finds the CA of the real mkcert where mkcert keeps it, or in $CAROOT', async (test) => {
    const missing = mkcertMissing()
    if (missing !== null) return test.skip(missing)
    const place = openPlace()
    await makeRoot(place, 'stranger')
    mkdirSync(join(place.path, 'data'))
    const homes: Record<string, string>[] = [
      { CAROOT: join(place.path, 'caroot') },
      { XDG_DATA_HOME: join(place.path, 'data') },
      {},
    ]
    for (const [index, env] of homes.entries()) {
      const none = { ...env, TRUST_STORES: 'none' }
      expect((await place.run(realMkcert, ['made.test'], none)).exitCode).toBe(0)
      const caroot = (await place.run(realMkcert, ['-CAROOT'], none)).stdout.trim()
      const state = { ...env, ROOTLING_HOME: join(place.path, `state-${index}`) }
      const args = ['ca', 'import', '--json']
      const { exitCode, stdout } = await place.run(built.rootling, args, state)
      expect([exitCode, JSON.parse(stdout)]).toEqual([
        0,
        expect.objectContaining({ created: true }),
      ])
      await expectIssues(place, join(caroot, 'rootCA.pem'), 'stranger.pem', state)
      const again = JSON.parse((await place.run(built.rootling, args, state)).stdout) as object
      expect(again, 'the second time nothing is new').toMatchObject({ ok: true, created: false })
    }
  })

  for (const { what, by, says, mend } of looseFiles)
    test.skipIf(by === 'owner' && !isRoot)(
      `refuses ${what}, names what mends it, and adopts it then`,
      async () => {
        const place = openPlace()
        await makeRoot(place, 'old')
        loosen(join(place.path, 'old.pem'), join(place.path, 'old.key'), what)
        const args = ['ca', 'import', '--cert', 'old.pem', '--key', 'old.key']
        const { exitCode, stderr } = await rootling(place, args)
        const path = join(place.path, what.includes('root') ? 'old.pem' : 'old.key')
        expect([exitCode, stderr]).toEqual([1, `Error: ${says(path)}\n  → ${mend} ${path}\n`])
        expect(existsSync(join(place.path, 'state'))).toBe(false)
        execFileSync('sh', ['-c', `${mend.replace('sudo ', '')} ${path}`])
        expect((await rootling(place, args)).exitCode).toBe(0)
      },
    )

  test('adopts a root that belongs to root and a key of mode 0400, as mkcert leaves it', async () => {
    const place = openPlace()
    await makeRoot(place, 'old')
    chmodSync(join(place.path, 'old.key'), 0o400)
    const args = ['ca', 'import', '--cert', 'old.pem', '--key', 'old.key']
    expect((await rootling(place, args)).exitCode).toBe(0)
  })

  test.for([
    { what: 'a leaf', cert: 'leaf', key: 'leaf', says: 'is not a CA’s certificate' },
    { what: 'a certificate that is no CA’s', cert: 'selfish', key: 'selfish', says: 'not a CA’s' },
    { what: 'an intermediate', cert: 'middle', key: 'middle', says: 'not a root' },
    { what: 'a key of another root', cert: 'old', key: 'other', says: 'is not the key of' },
    { what: 'no certificate at all', cert: 'nonsense', key: 'old', says: 'holds no certificate' },
    { what: 'no key at all', cert: 'old', key: 'nonsense', says: 'key' },
    { what: 'an absent file', cert: 'absent', key: 'old', says: 'There is no file' },
  ])('refuses $what, and leaves no scope', async ({ cert, key, says }) => {
    const place = openPlace()
    await makeStrangers(place)
    const args = ['ca', 'import', '--cert', `${cert}.pem`, '--key', `${key}.key`]
    const { exitCode, stderr } = await rootling(place, args)
    expect([exitCode, stderr]).toEqual([1, expect.stringContaining(says)])
    const { stdout } = await rootling(place, ['ca', 'list', '--json'])
    expect(JSON.parse(stdout)).toMatchObject({ scopes: [] })
  })
})

describe('rootling trust', () => {
  test.for([
    { what: 'a leaf', file: 'leaf', says: 'is not a CA’s certificate', code: 1 },
    { what: 'a certificate that is no CA’s', file: 'selfish', says: 'not a CA’s', code: 1 },
    { what: 'an intermediate', file: 'middle', says: 'not a root', code: 1 },
    { what: 'another root’s fingerprint', file: 'other', says: 'not the one you gave', code: 4 },
  ])('refuses $what', async ({ file, says, code }) => {
    const place = openPlace()
    await makeStrangers(place)
    const fingerprint = fingerprintOf(place.read('old.pem'))
    const args = ['trust', `${file}.pem`, '--fingerprint', fingerprint, '--dry-run']
    const { exitCode, stderr } = await rootling(place, args)
    expect([exitCode, stderr]).toEqual([code, expect.stringContaining(says)])
  })

  test('refuses a fingerprint that is none', async () => {
    const place = openPlace()
    await makeStrangers(place)
    const short = await rootling(place, ['trust', 'old.pem', '--fingerprint', 'abcd', '--dry-run'])
    expect([short.exitCode, short.stderr]).toEqual([2, expect.stringContaining('64 digits')])
  })

  const reason = namespaceUnavailable()
  test.skipIf(reason !== null)(
    `trusts the root that was meant, until uninstall --all${reason ? ` (${reason})` : ''}`,
    async () => {
      const place = openPlace()
      await makeStrangers(place)
      const namespace = await testNamespace()
      const root = place.read('old.pem')
      await namespace.writeFile(`${namespace.home}/old.pem`, root)
      const pretty = new X509Certificate(root).fingerprint256
      const unasked = ['trust', `${namespace.home}/old.pem`, '--unconstrained']
      const none = await namespace.run(built.rootling, unasked)
      expect([none.exitCode, none.stderr]).toEqual([2, expect.stringContaining('fingerprint')])
      const args = ['trust', `${namespace.home}/old.pem`, '--fingerprint', pretty]
      const refused = await namespace.run(built.rootling, args)
      expect([refused.exitCode, refused.stderr]).toEqual([
        2,
        expect.stringContaining('--unconstrained'),
      ])
      expect(await findRoot(namespace, root)).toEqual([`${namespace.home}/old.pem`])
      const { stderr } = await namespace.must(built.rootling, [...args, '--unconstrained'])
      expect(stderr).toContain('This root is unconstrained')
      const holders = await findRoot(namespace, root)
      expect(holders).toContain('/etc/ssl/certs/ca-certificates.crt')
      // Debian copies the system store into Java's.
      expect(holders.filter((path) => /cacerts|java/.test(path))).toEqual([])
      await namespace.must(built.rootling, ['uninstall', '--all', '--yes'])
      expect(await findRoot(namespace, root)).toEqual([`${namespace.home}/old.pem`])
    },
  )
})

function rootling(place: Place, args: readonly string[]) {
  return place.run(built.rootling, args)
}

/** Roots `old` and `other`, what is no root, and a file that is nothing. */
async function makeStrangers(place: Place): Promise<void> {
  await makeRoot(place, 'old')
  await makeRoot(place, 'other')
  await makeSigned(place, 'leaf', 'old', false)
  await makeSigned(place, 'middle', 'old', true)
  await place.openssl(`
    req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=selfish
    -keyout selfish.key -out selfish.pem -addext basicConstraints=critical,CA:FALSE`)
  for (const name of ['nonsense.pem', 'nonsense.key']) place.write(name, 'nothing\n')
}

/** The scope signs any name, directly, and what it signs verifies against that root only. */
async function expectIssues(
  place: Place,
  root: string,
  stranger: string,
  env: Record<string, string> = {},
): Promise<void> {
  const args = ['issue', 'shop.test', 'example.com', '--cert-file', 'leaf.pem', '--force']
  const { exitCode, stderr } = await place.run(
    built.rootling,
    [...args, '--key-file', 'leaf.key'],
    env,
  )
  expect([exitCode, stderr]).toEqual([0, expect.any(String)])
  expect(place.read('leaf.pem').match(/BEGIN CERTIFICATE/g)).toHaveLength(1)
  const verify = (file: string) =>
    place.run('openssl', ['verify', '-x509_strict', '-CAfile', file, 'leaf.pem'])
  expect(await verify(root)).toMatchObject({ exitCode: 0 })
  expect((await verify(stranger)).exitCode).not.toBe(0)
}

function fingerprintOf(pem: string): string {
  return new X509Certificate(pem).fingerprint256.replaceAll(':', '')
}
