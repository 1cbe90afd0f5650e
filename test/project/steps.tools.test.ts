import {
  appendFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { X509Certificate } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { readScopes } from '../../src/authority/scope.ts'
import { findProject } from '../../src/project/find.ts'
import { readProjectRecord } from '../../src/project/record.ts'
import { missingLines } from '../../src/project/steps/ignore.ts'
import { stateEntries } from '../../src/storage/files/state-layout.ts'
import { broken, createStore } from '../trust/memory-stores.ts'
import { temporaryDirectory } from '../helpers/temporary.ts'
import { foreignRoot } from './foreign-roots.ts'
import { cloneOf, shop, shownSteps, type Clone } from './team.ts'

const read = ({ directory }: Clone, path: string): string =>
  readFileSync(join(directory, path), 'utf8')

/** Every file and directory with its size, inode and dates. */
const readTree = (path: string) =>
  ['', ...readdirSync(path, { recursive: true, encoding: 'utf8' })].toSorted().map((name) => {
    const { size, ino, mtimeMs, ctimeMs, mode } = lstatSync(join(path, name))
    return { name, size, ino, mtimeMs, ctimeMs, mode }
  })

describe('up', () => {
  test('makes the authority, its trust, the certificate and the line of .gitignore', async () => {
    const clone = await cloneOf({ ...shop, proxy: { 'shop.test': 3000 } })
    const { steps, project } = await clone.up()
    expect(project).toEqual({ directory: clone.directory, root: clone.directory, git: true })
    expect(shownSteps(steps)).toEqual([
      'ignore: changed',
      'authority: changed',
      'certificate: changed',
      'proxy: not-used',
    ])
    const certificate = new X509Certificate(read(clone, '.certs/shop.pem'))
    expect(certificate.subjectAltName).toBe('DNS:localhost, DNS:shop.test')
    expect(statSync(join(clone.directory, '.certs/shop-key.pem')).mode & 0o777).toBe(0o600)
    expect(read(clone, '.gitignore')).toBe('/.certs/shop-key.pem\n/.certs/shop.pem\n')
    for (const store of clone.stores) expect(await store.list()).toHaveLength(1)
  })

  test('changes nothing the second time, not even a date', async () => {
    const clone = await cloneOf({
      ...shop,
      permit: ['dev.example.com'],
      hosts: { 'shop.test': '127.0.0.1' },
      env: { file: '.env.rootling' },
    })
    await clone.up({ allow: 'permit' })
    const trees = () => [clone.directory, clone.world.state.path].map((path) => readTree(path))
    const before = trees()
    const { steps } = await clone.up()
    expect(new Set(steps.map(({ outcome }) => outcome))).toEqual(new Set(['unchanged']))
    expect(trees()).toEqual(before)
  })

  test('plans the same steps, and changes nothing', async () => {
    const clone = await cloneOf(shop)
    const before = readTree(clone.directory)
    const planned = await clone.up({ planOnly: true })
    expect(readTree(clone.directory)).toEqual(before)
    expect(existsSync(clone.world.state.path)).toBe(false)
    const done = await clone.up()
    const plain = (steps: typeof done.steps) =>
      steps.map(({ code, subject, command, privileged }) => ({
        code,
        subject,
        command,
        privileged,
      }))
    expect(plain(done.steps)).toEqual(plain(planned.steps))
    expect(new Set(planned.steps.map(({ outcome }) => outcome))).toEqual(new Set(['would-change']))
  })

  test('goes on after a step that fails, and does that one the next time', async () => {
    let works = false
    const store = createStore('stubborn')
    const stubborn = {
      ...store,
      install: (anchor: never) => (works ? store.install(anchor) : broken()),
    }
    const clone = await cloneOf(shop, { stores: [stubborn, createStore('other')] })
    const { steps } = await clone.up()
    expect(shownSteps(steps)).toEqual([
      'ignore: changed',
      'authority: failed',
      'certificate: changed',
    ])
    expect(steps[1]).toMatchObject({ detail: 'stubborn: It broke.', hint: 'Repair it' })
    works = true
    expect(shownSteps((await clone.up()).steps)).toEqual([
      'ignore: unchanged',
      'authority: changed',
      'certificate: unchanged',
    ])
  })

  test.each([
    ['names', { names: ['shop.test', 'api.test'] }],
    ['key type', { keyType: 'rsa2048' }],
    ['days', { days: 30 }],
  ])('issues a certificate anew for other %s', async (_title, more) => {
    const clone = await cloneOf(shop)
    await clone.up()
    const before = read(clone, '.certs/shop.pem')
    clone.file({ certificates: [{ ...shop.certificates[0], ...more }] })
    expect(shownSteps((await clone.up()).steps).at(-1)).toBe('certificate: changed')
    expect(read(clone, '.certs/shop.pem')).not.toBe(before)
    expect(shownSteps((await clone.up()).steps).at(-1)).toBe('certificate: unchanged')
  })

  test('works from a directory below, and for several files with one authority', async () => {
    const clone = await cloneOf(shop)
    clone.write('packages/api/rootling.json', read(clone, 'rootling.json'))
    clone.write('packages/web/src/index.js', '')
    const web = await clone.up({ cwd: join(clone.directory, 'packages/web/src') })
    expect(web.project.directory).toBe(clone.directory)
    const api = await clone.up({ cwd: join(clone.directory, 'packages/api') })
    expect(api.project).toMatchObject({ directory: join(clone.directory, 'packages/api') })
    expect(existsSync(join(clone.directory, 'packages/api/.certs/shop.pem'))).toBe(true)
    expect(await readScopes(clone.world.state)).toHaveLength(1)
  })

  test('finds the file in a worktree, whose .git is a file', async () => {
    const clone = await cloneOf(shop)
    rmSync(join(clone.directory, '.git'), { recursive: true })
    clone.write('.git', 'gitdir: elsewhere\n')
    expect(await clone.up()).toMatchObject({ project: { git: true } })
  })

  test('writes no .gitignore where there is no Git', async () => {
    const directory = await temporaryDirectory()
    mkdirSync(join(directory, 'app'))
    for (const name of ['package-lock.json', 'rootling.json'])
      appendFileSync(join(directory, name), '{"version": 1}')
    const found = await findProject({ cwd: join(directory, 'app'), env: {}, owner: null })
    expect(found).toEqual({ directory, root: directory, git: false })
  })

  test('leaves nothing foreign in the state directory', async () => {
    const clone = await cloneOf(shop)
    await clone.up()
    expect(await stateEntries(clone.world.state)).toMatchObject({ foreign: [] })
  })
})

describe('the hosts file', () => {
  const lines = (clone: Clone) => readFileSync(clone.hostsFile, 'utf8')

  test('gets the lines of the project, and loses those that it wants no more', async () => {
    const clone = await cloneOf({ hosts: { 'shop.test': '127.0.0.1', 'api.shop.test': '::1' } })
    const before = lines(clone)
    const planned = await clone.up({ planOnly: true })
    expect(shownSteps(planned.steps)).toEqual(['authority: would-change', 'hosts: would-change'])
    expect(lines(clone)).toBe(before)
    await clone.up()
    expect(lines(clone)).toMatch(/^127\.0\.0\.1\s+shop\.test/m)
    expect(lines(clone)).toMatch(/^::1\s+api\.shop\.test/m)
    expect(shownSteps((await clone.up()).steps)).toContain('hosts: unchanged')
    clone.file({ hosts: { 'shop.test': '127.0.0.1' } })
    await clone.up()
    expect(lines(clone)).not.toContain('api.shop.test')
    clone.file({})
    await clone.up()
    expect(lines(clone)).toBe(before)
  })

  test('is as before after down', async () => {
    const clone = await cloneOf({ hosts: { 'shop.test': '127.0.0.1' } })
    const before = lines(clone)
    await clone.up()
    expect(shownSteps(await clone.down())).toEqual(['hosts: changed'])
    expect(lines(clone)).toBe(before)
  })

  test('with another address for a name is left, and the other steps are done', async () => {
    const clone = await cloneOf({ ...shop, hosts: { 'shop.test': '127.0.0.1' } })
    writeFileSync(clone.hostsFile, '192.168.1.9 shop.test\n')
    expect(shownSteps((await clone.up()).steps)).toEqual([
      'ignore: changed',
      'authority: changed',
      'certificate: changed',
      'hosts: failed',
    ])
    expect(lines(clone)).toBe('192.168.1.9 shop.test\n')
  })
})

describe('the file of variables', () => {
  test('names the roots, is ignored, and goes with down', async () => {
    const clone = await cloneOf({ env: { file: '.env.rootling' } })
    const planned = await clone.up({ planOnly: true })
    expect(shownSteps(planned.steps)).toContain('env: would-change')
    expect(existsSync(clone.world.state.path)).toBe(false)
    await clone.up()
    const [, named = ''] =
      /^NODE_EXTRA_CA_CERTS="?([^"\n]+)/m.exec(read(clone, '.env.rootling')) ?? []
    expect(readFileSync(named, 'utf8')).toContain('BEGIN CERTIFICATE')
    expect(read(clone, '.gitignore')).toBe('/.env.rootling\n')
    expect(read(clone, '.env.rootling')).toMatch(/^# Node trusts .* rootling run .*--env-file/m)
    expect(shownSteps((await clone.up()).steps)).toContain('env: unchanged')
    rmSync(named)
    expect(shownSteps((await clone.up()).steps)).toContain('env: changed')
    expect(existsSync(named)).toBe(true)
    expect(shownSteps(await clone.down())).toEqual(['env: changed', 'ignore: changed'])
    expect(existsSync(join(clone.directory, '.env.rootling'))).toBe(false)
  })

  test('is written again with the root of a new scope', async () => {
    const clone = await cloneOf({ env: { file: '.env.rootling' } })
    await clone.up()
    clone.file({ env: { file: '.env.rootling' }, permit: ['dev.example.com'] })
    const { steps } = await clone.up({ allow: 'permit' })
    expect(shownSteps(steps)).toContain('env: changed')
    expect(shownSteps((await clone.up()).steps)).toContain('env: unchanged')
  })
})

describe('.gitignore', () => {
  test.each([
    ['', ['/a/k.pem']],
    ['/a/k.pem\n', []],
    ['a/k.pem\n', []],
    ['a/\n', []],
    ['/a\n', []],
    ['a/\r\n', []],
    ['!a/k.pem\na/k.pem\n', []],
    ['a/k.pem\n!a/k.pem\n', ['/a/k.pem']],
    ['# a/k.pem\n', ['/a/k.pem']],
    ['b/\n', ['/a/k.pem']],
  ])('with %j needs %j', (text, lines) => {
    expect(missingLines(text, ['a/k.pem'])).toEqual(lines)
  })

  test('keeps its line ends, and begins a new line', async () => {
    const clone = await cloneOf(shop)
    clone.write('.gitignore', 'node_modules\r\ndist')
    await clone.up()
    expect(read(clone, '.gitignore')).toBe(
      'node_modules\r\ndist\r\n/.certs/shop-key.pem\r\n/.certs/shop.pem\r\n',
    )
    await clone.down({ files: true })
    expect(read(clone, '.gitignore')).toBe('node_modules\r\ndist\r\n')
  })

  test('escapes what would be a pattern', () => {
    expect(missingLines('', ['[a] #1/k.pem'])).toEqual(['/\\[a\\]\\ \\#1/k.pem'])
  })
})

describe('down', () => {
  const team = async () => {
    const { pem, fingerprint } = await foreignRoot('local')
    const members = {
      ...shop,
      permit: ['dev.example.com'],
      trust: [{ root: 'certs/team.pem', fingerprint }],
    }
    const made = async (beside?: Clone) => {
      const clone = await cloneOf(members, beside === undefined ? {} : { beside })
      clone.write('certs/team.pem', pem)
      return clone
    }
    return { made, fingerprint }
  }
  const heldBy = async ({ stores }: Clone) => (await stores[0]?.list())?.length

  test('takes back what up did, and leaves the authority and the files', async () => {
    const clone = await (await team()).made()
    await clone.up({ allow: 'permit,trust' })
    expect(await heldBy(clone)).toBe(3)
    const planned = await clone.down({ planOnly: true })
    expect(await heldBy(clone)).toBe(3)
    const steps = await clone.down()
    expect(shownSteps(steps)).toEqual([
      'certificate: kept',
      'trust: changed',
      'permit: changed',
      'ignore: kept',
    ])
    expect(planned.map(({ code }) => code)).toEqual(steps.map(({ code }) => code))
    expect(await heldBy(clone)).toBe(1)
    expect((await readScopes(clone.world.state)).map(({ name }) => name)).toEqual(['local'])
    expect(existsSync(join(clone.directory, '.certs/shop.pem'))).toBe(true)
  })

  test('takes the files too when asked, and forgets the project', async () => {
    const clone = await (await team()).made()
    await clone.up({ allow: 'permit,trust' })
    const steps = await clone.down({ files: true })
    expect(new Set(steps.map(({ outcome }) => outcome))).toEqual(new Set(['changed']))
    expect(existsSync(join(clone.directory, '.certs'))).toBe(false)
    expect(read(clone, '.gitignore')).toBe('')
    expect(await readProjectRecord(clone.world.state, clone.directory)).toBeNull()
    expect(await clone.down()).toEqual([])
    rmSync(join(clone.directory, 'rootling.json'))
    await expect(clone.down()).rejects.toMatchObject({ code: 'bad-project' })
  })

  test('leaves files that something else changed', async () => {
    const clone = await cloneOf(shop)
    await clone.up()
    clone.write('.certs/shop.pem', 'mine')
    expect(await clone.down({ files: true })).toMatchObject([
      { code: 'certificate', outcome: 'kept' },
      { code: 'ignore' },
    ])
    expect(read(clone, '.certs/shop.pem')).toBe('mine')
  })

  test('leaves what another project needs, and the last one takes it', async () => {
    const { made } = await team()
    const first = await made()
    await first.up({ allow: 'permit,trust' })
    const second = await made(first)
    expect((await second.up({ allow: 'permit,trust' })).stopped).toBe(false)
    const steps = await first.down({ files: true })
    expect(steps.find(({ code }) => code === 'trust')).toMatchObject({
      outcome: 'kept',
      detail: `It is left, since ${second.directory} needs it.`,
    })
    expect(await heldBy(first)).toBe(3)
    expect(new Set((await second.down({ files: true })).map(({ outcome }) => outcome))).toEqual(
      new Set(['changed']),
    )
    expect(await heldBy(first)).toBe(1)
  })

  test('works without the file, and for what it no longer says', async () => {
    const clone = await (await team()).made()
    await clone.up({ allow: 'permit,trust' })
    rmSync(join(clone.directory, 'rootling.json'))
    await clone.down({ files: true })
    expect(await heldBy(clone)).toBe(1)
  })

  test('does not take what the person trusted before', async () => {
    const { made, fingerprint } = await team()
    const clone = await made()
    await clone.up({ allow: 'permit,trust' })
    const record = await readProjectRecord(clone.world.state, clone.directory)
    expect(record?.done).toContainEqual({ kind: 'trust', fingerprint })
    const other = await made(clone)
    await other.up({ allow: 'permit,trust' })
    const its = await readProjectRecord(clone.world.state, other.directory)
    expect(its?.done.map(({ kind }) => kind)).toEqual(['ignore', 'certificate'])
  })
})
