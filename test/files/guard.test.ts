import { X509Certificate } from 'node:crypto'
import {
  chmod,
  chown,
  lstat,
  mkdir,
  readdir,
  readFile,
  rename,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { issue } from '../../src/certificates/issue.ts'
import type { StateDirectory } from '../../src/home/state-directory.ts'
import { ensureAuthority, permitScope } from '../../src/authority/create.ts'
import { readRecord } from '../../src/storage/files/record.ts'
import { settleInterrupted } from '../../src/storage/files/settle.ts'
import { pemBlocks } from '../../src/x509/pem.ts'
import { temporaryDirectory, temporaryState } from '../helpers/temporary.ts'

const now = new Date()
const isRoot = process.getuid?.() === 0

async function withAuthority() {
  const state = await temporaryState()
  await ensureAuthority(state, now)
  const scope = join(state.path, 'scopes', 'local')
  return { state, scope, key: join(scope, 'intermediate-key.pem') }
}
const issueAt = (state: StateDirectory) => issue(state, { names: ['localhost'], files: null }, now)
const modeOf = async (path: string) => ((await lstat(path)).mode & 0o777).toString(8)

test.each([0o000, 0o022, 0o077])('modes are right under umask %i', async (mask) => {
  const before = process.umask(mask)
  onTestFinished(() => void process.umask(before))
  const { state, scope, key } = await withAuthority()
  const outDir = await temporaryDirectory()
  await issue(state, { names: ['localhost'], files: { outDir } }, now)
  const paths = [state.path, join(state.path, 'scopes'), scope, join(state.path, 'pending')]
  expect(await Promise.all(paths.map(modeOf))).toEqual(['700', '700', '700', '700'])
  const privates = [key, join(state.path, 'certificates.jsonl'), join(outDir, 'localhost-key.pem')]
  expect(await Promise.all(privates.map(modeOf))).toEqual(['600', '600', '600'])
  const publics = ['root.pem', 'intermediate.pem', 'root.crl'].map((name) => join(scope, name))
  publics.push(join(outDir, 'localhost.pem'))
  expect(await Promise.all(publics.map(modeOf))).toEqual(['644', '644', '644', '644'])
})

describe('a signing key that others could have changed or read is refused', () => {
  test.each([0o644, 0o640, 0o604, 0o620])('of mode %i', async (mode) => {
    const { state, key } = await withAuthority()
    await chmod(key, mode)
    const octal = mode.toString(8).padStart(4, '0')
    await expect(issueAt(state)).rejects.toMatchObject({
      code: 'loose-key',
      message: `Others can read the private key ${key} (mode ${octal}).`,
      hint: `chmod 600 ${key}`,
    })
    expect(await modeOf(key)).toBe(mode.toString(8))
    await chmod(key, 0o600)
    await expect(issueAt(state)).resolves.toBeDefined()
  })

  test.skipIf(!isRoot)('of another owner (needs root to make one)', async () => {
    const { state, key } = await withAuthority()
    await chown(key, 12_345, 12_345)
    await expect(issueAt(state)).rejects.toMatchObject({
      code: 'loose-key',
      message: `The private key ${key} belongs to another user.`,
      hint: `sudo chown 0 ${key}`,
    })
  })

  test('behind a symbolic link', async () => {
    const { state, key } = await withAuthority()
    await rename(key, `${key}.real`)
    await symlink(`${key}.real`, key)
    const refused = { code: 'file-unreadable', message: expect.stringContaining('symbolic link') }
    await expect(issueAt(state)).rejects.toMatchObject(refused)
  })

  test.each([0o770, 0o707, 0o777, 0o1777])('in a directory of mode %i', async (mode) => {
    const { state } = await withAuthority()
    await chmod(state.path, mode)
    await expect(issueAt(state)).rejects.toMatchObject({
      code: 'loose-key',
      message: `Others can write to the state directory ${state.path}.`,
      hint: `chmod 700 ${state.path}`,
    })
    expect(await readRecord(state)).toEqual([])
  })
})

test.skipIf(!isRoot)(
  'what root does for a person belongs to that person (needs root)',
  async () => {
    const outDir = await temporaryDirectory()
    const { path } = await temporaryState()
    const state = { path, owner: { uid: 12_345, gid: 12_346 } }
    // It is written with the person's rights, who must come to it.
    await chmod(dirname(path), 0o755)
    await ensureAuthority(state, now)
    await issue(state, { names: ['localhost'], files: { outDir }, rights: null }, now)
    const inside = await readdir(path, { recursive: true })
    const paths = [path, ...inside.map((name) => join(path, name)), join(outDir, 'localhost.pem')]
    const owners = await Promise.all(
      [...paths, join(outDir, 'localhost-key.pem')].map(async (file) => {
        const { uid, gid } = await lstat(file)
        return `${file} ${uid}:${gid}`
      }),
    )
    expect(owners.filter((row) => !row.endsWith(' 12345:12346'))).toEqual([])
  },
)

describe('a damaged file is named, with what to do', () => {
  const remedy = 'rootling ca forget local; rootling install'
  test.each(['scope.json', 'root.pem', 'intermediate.pem', 'intermediate-key.pem'])(
    '%s, cut off, empty, garbled or missing',
    async (name) => {
      const { state, scope } = await withAuthority()
      const path = join(scope, name)
      const good = await readFile(path, 'utf8')
      for (const text of [
        good.slice(0, good.length / 2),
        '',
        '\0\u00ff{[',
        good.replace(/[A-Za-z]{4}/g, '!'),
      ]) {
        await writeFile(path, text)
        await expect(issueAt(state)).rejects.toMatchObject({
          code: 'corrupt-state',
          message: `${path} is damaged.`,
          hint: expect.stringContaining(remedy),
        })
      }
      await rm(path)
      await expect(issueAt(state)).rejects.toMatchObject({
        code: 'corrupt-state',
        message: `${path} is missing.`,
      })
      await writeFile(path, good, { mode: 0o600 })
      await expect(issueAt(state)).resolves.toBeDefined()
    },
  )

  test('whichever of its bits has changed, and no damaged certificate is signed', async () => {
    const { state, scope } = await withAuthority()
    const read = async (name: string) =>
      new X509Certificate(await readFile(join(scope, name))).publicKey
    const [rootKey, issuerKey] = [await read('root.pem'), await read('intermediate.pem')]
    const wrong: string[] = []
    for (const name of ['scope.json', 'root.pem', 'intermediate.pem', 'intermediate-key.pem']) {
      const path = join(scope, name)
      const good = await readFile(path)
      for (let at = 0; at < good.length; at += 3) {
        const bad = Buffer.from(good)
        bad.writeUInt8(good.readUInt8(at) ^ (1 << (at % 8)), at)
        await writeFile(path, bad)
        const outcome = await issueAt(state).then(
          ({ chain }) => {
            const [leaf, issuer] = pemBlocks(chain).map(({ der }) => new X509Certificate(der))
            return (leaf?.verify(issuerKey) ?? false) && (issuer?.verify(rootKey) ?? false)
          },
          (error: unknown) => String(error) === `RootlingError: ${path} is damaged.`,
        )
        if (!outcome) wrong.push(`${name}, octet ${at}`)
      }
      await writeFile(path, good)
    }
    expect(wrong).toEqual([])
  })

  test('a signing key that is another’s', async () => {
    const { state, key } = await withAuthority()
    await permitScope(state, { permit: ['dev.example.com'] }, now)
    const other = join(state.path, 'scopes', 'dev-example-com', 'intermediate-key.pem')
    await writeFile(key, await readFile(other))
    await expect(issueAt(state)).rejects.toMatchObject({
      code: 'corrupt-state',
      message: `${key} is damaged.`,
    })
  })

  test('a scope that says it is another', async () => {
    const { state, scope } = await withAuthority()
    await rename(scope, join(state.path, 'scopes', 'renamed'))
    await expect(issueAt(state)).rejects.toMatchObject({ code: 'corrupt-state' })
  })
})

describe('the record', () => {
  test('drops a last line that a dead writer left unfinished, and loses no other', async () => {
    const { state } = await withAuthority()
    const path = join(state.path, 'certificates.jsonl')
    const first = await issueAt(state)
    const whole = await readFile(path, 'utf8')
    for (const torn of ['{', whole.slice(0, -2), whole.slice(0, 40)]) {
      const before = await readFile(path, 'utf8')
      await writeFile(path, before + torn)
      const known = await readRecord(state)
      const { record } = await issueAt(state)
      const serials = (await readRecord(state)).map(({ serialNumber }) => serialNumber)
      expect(serials).toEqual([...known.map((row) => row.serialNumber), record.serialNumber])
    }
    expect((await readRecord(state))[0]?.serialNumber).toBe(first.record.serialNumber)
    expect(await readRecord(state)).toHaveLength(4)
  })
})

const record = { serialNumber: '00' }
const file = { path: '/tmp/x', mode: 0o644, base64: '', before: null }
test.each([
  'not JSON',
  '{}',
  '[]',
  JSON.stringify({ record }),
  JSON.stringify({ record, files: [null] }),
  ...Object.keys(file).map((key) =>
    JSON.stringify({ record, files: [{ ...file, [key]: undefined }] }),
  ),
  JSON.stringify({ record, files: [{ ...file, path: 'relative' }] }),
])('a pending file that makes no sense is swept away: %s', async (text) => {
  const { state } = await withAuthority()
  await mkdir(join(state.path, 'pending'), { mode: 0o700 })
  const damaged = `${'5a'.repeat(16)}.json`
  await writeFile(join(state.path, 'pending', damaged), text, { mode: 0o600 })
  await issueAt(state)
  expect(await readdir(join(state.path, 'pending'))).toEqual([])
})

test('a file among the pending ones that Rootling did not write stays, and disturbs nothing', async () => {
  const { state } = await withAuthority()
  const pending = join(state.path, 'pending')
  await mkdir(join(pending, 'drafts'), { recursive: true })
  await writeFile(join(pending, 'thesis.json'), '{}')
  await writeFile(join(pending, '2024.json'), 'null', { mode: 0o600 })
  await settleInterrupted(state)
  await issueAt(state)
  expect((await readdir(pending)).toSorted()).toEqual(['2024.json', 'drafts', 'thesis.json'])
})
