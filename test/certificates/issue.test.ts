import { createPrivateKey, X509Certificate } from 'node:crypto'
import { chmod, lstat, mkdir, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { issue, type IssueRequest } from '../../src/certificates/issue.ts'
import { ensureAuthority, permitScope } from '../../src/authority/create.ts'
import { forgetScope } from '../../src/authority/delete.ts'
import { forget } from '../../src/certificates/forget.ts'
import { readRecord } from '../../src/storage/files/record.ts'
import { day } from '../../src/x509/profiles.ts'
import { temporaryDirectory, temporaryState } from '../helpers/temporary.ts'

const now = new Date()

async function workshop(created = now) {
  const state = await temporaryState()
  const { scope } = await ensureAuthority(state, created)
  const outDir = await temporaryDirectory()
  return {
    state,
    scope,
    outDir,
    at: (name: string) => join(outDir, name),
    issue: (names: string[], more: Partial<IssueRequest> = {}, when = now) =>
      issue(state, { names, files: { outDir }, ...more }, when),
  }
}
const modeOf = async (path: string) => ((await lstat(path)).mode & 0o777).toString(8)

async function expectPair(cert: string, key: string): Promise<void> {
  const certificate = new X509Certificate(await readFile(cert))
  expect(certificate.checkPrivateKey(createPrivateKey(await readFile(key)))).toBe(true)
}

const longName = `${'a'.repeat(60)}.${'b'.repeat(60)}.${'c'.repeat(60)}.${'d'.repeat(50)}.localhost`

test.each([
  [['localhost'], 'localhost'],
  [['localhost', '127.0.0.1', '::1'], 'localhost+2'],
  [['localhost', 'LOCALHOST', 'localhost.'], 'localhost'],
  [['*.app.localhost'], '_wildcard.app.localhost'],
  [['::1', 'localhost'], '__1+1'],
  [['127.0.0.1'], '127.0.0.1'],
  [['me@mail.test'], 'me@mail.test'],
  [['spiffe://dev.test/web'], 'spiffe___dev.test_web'],
  [['MÜNCHEN.test'], 'xn--mnchen-3ya.test'],
])('%j is written as %s.pem and %2$s-key.pem, as mkcert does', async (names, base) => {
  const { issue, outDir, at } = await workshop()
  const { record } = await issue(names)
  expect((await readdir(outDir)).toSorted((a, b) => a.length - b.length)).toEqual([
    `${base}.pem`,
    `${base}-key.pem`,
  ])
  expect([record.certPath, record.keyPath]).toEqual([at(`${base}.pem`), at(`${base}-key.pem`)])
  await expectPair(at(`${base}.pem`), at(`${base}-key.pem`))
})

test('the longest names get files whose names are cut, and still differ', async () => {
  const { issue, outDir } = await workshop()
  await issue([longName])
  await issue([longName.replace('d.localhost', 'e.localhost')])
  await issue([`spiffe://dev.test/${'x'.repeat(900)}`])
  const files = await readdir(outDir)
  expect(files).toHaveLength(6)
  expect(Math.max(...files.map(({ length }) => length))).toBeLessThan(220)
})

describe('what stands in the way', () => {
  test('is replaced when it is ours, a loose key by one of mode 0600', async () => {
    const { issue, at } = await workshop()
    const first = await issue(['localhost'])
    await chmod(at('localhost-key.pem'), 0o666)
    const second = await issue(['localhost'])
    expect(second.chain).not.toBe(first.chain)
    expect(await modeOf(at('localhost-key.pem'))).toBe('600')
    expect(await modeOf(at('localhost.pem'))).toBe('644')
    await expectPair(at('localhost.pem'), at('localhost-key.pem'))
  })

  test('is left alone when another CA signed it, unless forced', async () => {
    const { issue, at, state } = await workshop()
    const other = await workshop()
    await other.issue(['localhost'])
    const theirs = await readFile(other.at('localhost.pem'), 'utf8')
    await writeFile(at('localhost.pem'), theirs)
    await expect(issue(['localhost'])).rejects.toMatchObject({
      code: 'not-ours',
      message: `${at('localhost.pem')} is a certificate of another CA, so it was left as it is.`,
    })
    expect(await readFile(at('localhost.pem'), 'utf8')).toBe(theirs)
    expect(await readRecord(state)).toEqual([])
    await issue(['localhost'], { force: true })
    await expectPair(at('localhost.pem'), at('localhost-key.pem'))
  })

  test('is left alone when the key is of no certificate beside it, unless forced', async () => {
    const { issue, at } = await workshop()
    await issue(['localhost'])
    await issue(['a.localhost'])
    await writeFile(at('localhost-key.pem'), await readFile(at('a.localhost-key.pem')))
    await expect(issue(['localhost'])).rejects.toMatchObject({
      code: 'not-ours',
      message: `${at('localhost-key.pem')} holds a key that is not of the certificate beside it, so it was left as it is.`,
    })
    await issue(['localhost'], { force: true })
    await expectPair(at('localhost.pem'), at('localhost-key.pem'))
  })

  test.each(['p256', 'ed25519', 'rsa2048'] as const)(
    'is replaced when it is a %s key whose certificate is gone',
    async (keyType) => {
      const { issue, at } = await workshop()
      await issue(['localhost'], { keyType })
      await rm(at('localhost.pem'))
      await expect(issue(['localhost'])).resolves.toMatchObject({ warnings: [] })
      await expectPair(at('localhost.pem'), at('localhost-key.pem'))
    },
  )

  const leftAlone = (path: string) => ({
    code: 'not-ours',
    message: `${path} is not known to hold a key that Rootling wrote, so it was left as it is.`,
  })

  test('is left alone when it is no key that was written with a certificate that is gone', async () => {
    const { issue, at, state, outDir } = await workshop()
    const key = at('localhost-key.pem')
    await issue(['a.localhost'], { keyType: 'rsa2048' })
    await writeFile(key, await readFile(at('a.localhost-key.pem')))
    // Nothing is on record of this file.
    await expect(issue(['localhost'])).rejects.toMatchObject(leftAlone(key))
    await issue(['localhost'], { force: true })
    await rm(at('localhost.pem'))
    // Another type of key than is on record, and no key at all.
    const theirs = await readFile(at('a.localhost-key.pem'), 'utf8')
    for (const text of [theirs, 'my novel']) {
      await writeFile(key, text)
      await expect(issue(['localhost'])).rejects.toMatchObject(leftAlone(key))
      expect(await readFile(key, 'utf8')).toBe(text)
    }
    await issue(['localhost'], { force: true })
    // The key is of a later certificate in another file.
    const files = { outDir, certPath: at('other.pem'), keyPath: key }
    await issue(['b.localhost'], { files, force: true })
    await rm(at('localhost.pem'))
    await expect(issue(['localhost'])).rejects.toMatchObject(leftAlone(key))
    await expectPair(at('other.pem'), key)
    // The person said that it is Rootling's no more.
    await rm(at('other.pem'))
    await forget(state, { words: [at('other.pem')], cwd: '/', all: false }, now)
    await expect(issue(['b.localhost'], { files })).rejects.toMatchObject(leftAlone(key))
  })

  test('is replaced when it is on record, though its scope is gone', async () => {
    const { issue, at, state } = await workshop()
    const { scope } = await permitScope(state, { permit: ['example.com'] }, now)
    await issue(['example.com'])
    const [cert, key] = [at('example.com.pem'), at('example.com-key.pem')]
    const [oldCert, oldKey] = [await readFile(cert), await readFile(key)]
    await forgetScope(state, scope.name)
    await permitScope(state, { permit: ['example.com'] }, now)
    await issue(['example.com'])
    expect(await readFile(cert)).not.toEqual(oldCert)
    await expectPair(cert, key)
    // One that a later certificate replaced, put back by somebody, is on record as replaced.
    await forgetScope(state, scope.name)
    await permitScope(state, { permit: ['example.com'] }, now)
    await writeFile(cert, oldCert)
    await writeFile(key, oldKey)
    await expect(issue(['example.com'])).rejects.toMatchObject({
      code: 'not-ours',
      message: `${cert} is a certificate of another CA, so it was left as it is.`,
    })
  })

  test('is left alone when it is no certificate at all', async () => {
    const { issue, at } = await workshop()
    await writeFile(at('localhost.pem'), 'my novel')
    await expect(issue(['localhost'])).rejects.toMatchObject({
      code: 'not-ours',
      message: `${at('localhost.pem')} is not a certificate, so it was left as it is.`,
    })
  })

  test('is not written through when it is a symbolic link', async () => {
    const { issue, at } = await workshop()
    await writeFile(at('precious'), 'precious')
    await symlink(at('precious'), at('localhost-key.pem'))
    await expect(issue(['localhost'])).rejects.toMatchObject({ code: 'file-unreadable' })
    await issue(['localhost'], { force: true })
    expect(await readFile(at('precious'), 'utf8')).toBe('precious')
    await expectPair(at('localhost.pem'), at('localhost-key.pem'))
  })

  test('is refused even by force when it is a directory', async () => {
    const { issue, at } = await workshop()
    const path = at('localhost.pem')
    await mkdir(path)
    await expect(issue(['localhost'], { force: true })).rejects.toMatchObject({
      code: 'state-unwritable',
      message: `${path} is a directory.`,
    })
  })
})

test('one path for both takes certificate, intermediate and key, readable to its owner', async () => {
  const { issue, at, scope } = await workshop()
  const both = { certPath: at('both.pem'), keyPath: at('both.pem') }
  await issue(['localhost'], { files: both })
  await issue(['localhost'], { files: both })
  await expectPair(at('both.pem'), at('both.pem'))
  expect(await readFile(at('both.pem'), 'utf8')).toContain(scope.intermediate.toString())
  expect(await modeOf(at('both.pem'))).toBe('600')
})

test('without files the PEM comes back, and only the record is written', async () => {
  const { issue, outDir, state } = await workshop()
  const { record, chain } = await issue(['localhost'], { files: null })
  expect([record.certPath, record.keyPath]).toEqual([null, null])
  expect(chain.match(/BEGIN CERTIFICATE/g)).toHaveLength(2)
  expect(await readdir(outDir)).toEqual([])
  expect(await readRecord(state)).toEqual([record])
})

describe('dates', () => {
  test.each([1, 90, 397, 825])('%i days last to the second', async (days) => {
    const { issue } = await workshop()
    const { chain, warnings } = await issue(['localhost'], { days, files: null })
    const { validFrom, validTo } = new X509Certificate(chain)
    expect(Date.parse(validTo) - Date.parse(validFrom) + 1000).toBe(days * day)
    expect(warnings).toEqual([])
  })

  test.each([0, -1, 1.5, 826, NaN])('%d days are refused', async (days) => {
    const { issue } = await workshop()
    const refused = issue(['localhost'], { days, files: null })
    await expect(refused).rejects.toMatchObject({ code: 'usage', hint: '--days 397' })
  })

  test('a certificate never outlives its issuer, and says that it is shorter', async () => {
    const { issue, scope } = await workshop(new Date(now.getTime() - 3600 * day))
    const { chain, warnings } = await issue(['localhost'], { files: null })
    expect(new X509Certificate(chain).validTo).toBe(scope.intermediate.validTo)
    expect(warnings.join(' ')).toContain('It ends with its issuer, on ')
  })

  test('an issuer that has ended signs nothing', async () => {
    const { issue, state } = await workshop(new Date(now.getTime() - 3651 * day))
    await expect(issue(['localhost'])).rejects.toMatchObject({
      code: 'issuer-expired',
      message: expect.stringMatching(/^The scope local ended on /),
    })
    expect(await readRecord(state)).toEqual([])
  })
})

test('250 names fit, 251 do not, and none is a mistake', async () => {
  const { issue } = await workshop()
  const names = Array.from({ length: 251 }, (_, i) => `a${i}.localhost`)
  const { record } = await issue(names.slice(1), { files: null })
  expect(record.identifiers).toHaveLength(250)
  await expect(issue(names)).rejects.toMatchObject({
    code: 'usage',
    message: '251 names are too many for one certificate.',
  })
  await expect(issue([])).rejects.toMatchObject({ code: 'usage' })
})

test('without an authority the way to one is named', async () => {
  const state = await temporaryState()
  const request = { names: ['localhost'], files: null }
  await expect(issue(state, request, now)).rejects.toMatchObject({
    code: 'no-authority',
    hint: 'rootling install',
  })
})

describe('what browsers and Java refuse', () => {
  test('a bare wildcard alone is a warning', async () => {
    const { issue } = await workshop()
    const { warnings } = await issue(['*.test'], { files: null })
    expect(warnings).toEqual([
      'Browsers refuse *.test, a wildcard directly under a top-level name; use *.dev.test.',
    ])
  })

  test('a bare wildcard among other names is refused, unless forced', async () => {
    const { issue } = await workshop()
    await expect(issue(['localhost', '*.test'], { files: null })).rejects.toMatchObject({
      code: 'bad-name',
      hint: 'Use *.dev.test instead, issue *.test alone, or add --force',
    })
    const { warnings } = await issue(['localhost', '*.test'], { files: null, force: true })
    expect(warnings).toHaveLength(1)
  })

  test('an underscore and Ed25519 are warnings', async () => {
    const { issue } = await workshop()
    const { warnings } = await issue(['a_b.test'], { files: null, keyType: 'ed25519' })
    expect(warnings).toEqual([
      'Java refuses a_b.test: no host name has an underscore.',
      'Chromium and Firefox refuse Ed25519 certificates.',
    ])
  })
})

test.each([
  ['correct horse ~!', 0],
  ['pässwörd', 1],
  ['a\tb', 1],
])('a .p12 whose password Java does not take is a warning: %j', async (password, count) => {
  const { state, at, outDir } = await workshop()
  const pkcs12 = { password, legacy: false }
  const made = await issue(
    state,
    { names: ['localhost'], files: { outDir, extra: { pkcs12: true } }, pkcs12 },
    now,
  )
  const said = made.warnings.filter((warning) => warning.includes('Java'))
  expect(said).toEqual(
    count === 0
      ? []
      : [
          `Java cannot open ${at('localhost.p12')}: for .p12 files it takes only passwords of ASCII letters, digits, signs and spaces.`,
        ],
  )
  expect(said.join()).not.toContain(password)
})
