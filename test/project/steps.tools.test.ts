import { execFileSync } from 'node:child_process'
import {
  appendFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { readScopes } from '../../src/authority/scope.ts'
import { foundAuthority } from '../../src/replica/found.ts'
import { revoke } from '../../src/certificates/revoke.ts'
import { takeDown, takeDownGone } from '../../src/project/down.ts'
import { findProject } from '../../src/project/find.ts'
import { readProjectRecord } from '../../src/project/record.ts'
import type { Step } from '../../src/project/step.ts'
import { missingLines } from '../../src/project/steps/ignore.ts'
import { stateEntries } from '../../src/storage/files/state-layout.ts'
import { fileStorage } from '../../src/storage/files/storage.ts'
import { createMemoryStorage } from '../../src/storage/memory/storage.ts'
import { fingerprintOf } from '../../src/x509/parsed-certificate.ts'
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
    const clone = await cloneOf({ ...shop, proxy: { 'repository.test': 3000 } })
    const { steps, project } = await clone.up()
    expect(project).toEqual({ directory: clone.directory, root: clone.directory, git: true })
    expect(shownSteps(steps)).toEqual([
      'ignore: changed',
      'authority: changed',
      'certificate: changed',
      'proxy: changed',
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

  test('names in its first plan the stores that it then changes, and no others', async () => {
    const system = createStore('system', { kind: 'system', title: 'the system' })
    const absent = createStore('absent', {
      availability: async () => ({ available: false, code: 'absent', reason: 'It is not here.' }),
    })
    const stores = [createStore('Firefox'), system, absent]
    const clone = await cloneOf({ permit: ['dev.example.com'] }, { stores })
    const detailOf = (steps: readonly Step[], code: string) =>
      steps.find((step) => step.code === code)?.detail
    const { steps } = await clone.up({ planOnly: true })
    const held = 'trusted by Firefox, the system.'
    expect(detailOf(steps, 'authority')).toBe(`The authority is made, and ${held}`)
    expect(detailOf(steps, 'permit')).toBe(
      `A scope of its own is made, which may sign these names and all below them, and is to be ${held}`,
    )
    const none = await clone.up({ planOnly: true, kinds: [] })
    expect(detailOf(none.steps, 'authority')).toBe(
      'The authority is made, and trusted by no store, since none is here or chosen.',
    )
    expect(existsSync(clone.world.state.path)).toBe(false)
    for (const store of stores) expect(await store.list()).toEqual([])
    const done = await clone.up({ allow: 'permit' })
    expect(detailOf(done.steps, 'authority')).toBe(`The authority was made; now ${held}`)
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

  test('issues again where the certificate is revoked, or on hold', async () => {
    const clone = await cloneOf(shop)
    await clone.up()
    for (const reason of ['certificateHold', 'keyCompromise'] as const) {
      const { serialNumber: target } = new X509Certificate(read(clone, '.certs/shop.pem'))
      const storage = fileStorage(clone.world.state)
      await revoke(storage, { target: target.toLowerCase(), reason, now: new Date() })
      expect(shownSteps((await clone.up()).steps)).toContain('certificate: changed')
      expect(shownSteps((await clone.up()).steps)).toContain('certificate: unchanged')
      expect(new X509Certificate(read(clone, '.certs/shop.pem')).serialNumber).not.toBe(target)
    }
  })

  test('issues again where the certificate alone is gone', async () => {
    const clone = await cloneOf(shop)
    await clone.up()
    rmSync(join(clone.directory, '.certs/shop.pem'))
    const outcomes = async (planOnly: boolean) =>
      (await clone.up({ planOnly })).steps.map(({ outcome }) => outcome)
    expect(await outcomes(true)).toEqual(['unchanged', 'unchanged', 'would-change'])
    expect(await outcomes(false)).toEqual(['unchanged', 'unchanged', 'changed'])
    const certificate = new X509Certificate(read(clone, '.certs/shop.pem'))
    const key = createPrivateKey(read(clone, '.certs/shop-key.pem'))
    expect(certificate.checkPrivateKey(key)).toBe(true)
    expect(await outcomes(false)).toEqual(['unchanged', 'unchanged', 'unchanged'])
  })

  test('leaves a key that something else wrote where the certificate is gone', async () => {
    const clone = await cloneOf(shop)
    clone.write('.certs/shop-key.pem', 'mine')
    const { steps } = await clone.up()
    expect(steps.at(-1)).toMatchObject({
      outcome: 'failed',
      detail: `${clone.directory}/.certs/shop-key.pem is not known to hold a key that Rootling wrote, so it was left as it is.`,
      hint: 'Name another path in rootling.json, or move the file away if it is needed no more',
    })
    expect(read(clone, '.certs/shop-key.pem')).toBe('mine')
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
    const clone = await cloneOf({ hosts: { 'shop.test': ['127.0.0.1', '::1'] } })
    const before = lines(clone)
    await clone.up()
    expect(lines(clone)).toMatch(/^127\.0\.0\.1\s+shop\.test[^]*^::1\s+shop\.test/m)
    expect(shownSteps(await clone.down())).toEqual(['hosts: changed'])
    expect(lines(clone)).toBe(before)
  })

  test('with another address for a name is left, and the other steps are done', async () => {
    const clone = await cloneOf({ ...shop, hosts: { 'shop.test': '127.0.0.1' } })
    writeFileSync(clone.hostsFile, '192.168.1.9 shop.test\n')
    const { steps } = await clone.up()
    expect(shownSteps(steps)).toEqual([
      'ignore: changed',
      'authority: changed',
      'certificate: changed',
      'hosts: failed',
    ])
    expect(steps.at(-1)?.hint).toContain('under hosts in rootling.json or rootling.local.json')
    expect(lines(clone)).toBe('192.168.1.9 shop.test\n')
  })
})

describe('a line of the hosts file that two projects want', () => {
  const members = { hosts: { 'shop.test': '127.0.0.1' } }
  const last = (steps: readonly Step[]) => steps.at(-1)

  test('is there already for the second, and stays when the first one goes', async () => {
    const first = await cloneOf(members)
    const second = await cloneOf(members, { beside: first })
    const { hostsFile } = first
    await first.up()
    for (const planOnly of [true, false])
      expect(last((await second.up({ hostsFile, planOnly })).steps)).toMatchObject({
        outcome: planOnly ? 'would-change' : 'changed',
        detail: `In ${hostsFile}: 127.0.0.1 shop.test is there already for ${first.directory}, and is kept for both`,
      })
    for (const planOnly of [true, false])
      expect(last(await first.down({ planOnly }))).toMatchObject({
        outcome: planOnly ? 'would-change' : 'changed',
        detail: `127.0.0.1 shop.test stays for ${second.directory}`,
      })
    expect(readFileSync(hostsFile, 'utf8')).toMatch(/^127\.0\.0\.1 shop\.test/m)
    second.file({ hosts: { 'api.test': '127.0.0.1' } })
    expect(last((await second.up({ hostsFile })).steps)?.detail).toBe(
      `In ${hostsFile}: -127.0.0.1 shop.test, +127.0.0.1 api.test`,
    )
  })
})

describe('a project that was moved', () => {
  test('keeps its lines in the hosts file until down --gone', async () => {
    const clone = await cloneOf({ ...shop, hosts: { 'shop.test': '127.0.0.1' } })
    const { directory, hostsFile, world } = clone
    const before = readFileSync(hostsFile, 'utf8')
    const options = { cwd: `${directory}-moved`, files: false, hostsFile }
    await clone.up()
    expect(await takeDownGone(world, options)).toEqual([])
    renameSync(directory, options.cwd)
    expect(await takeDown(world, options)).toEqual({
      directory: options.cwd,
      steps: [],
      recorded: false,
    })
    await expect(takeDown(world, { ...options, cwd: dirname(directory) })).rejects.toMatchObject({
      hint: expect.stringContaining('rootling down --gone'),
    })
    const [planned] = await takeDownGone(world, { ...options, planOnly: true })
    expect(shownSteps(planned?.steps ?? [])).toContain('hosts: would-change')
    const [taken] = await takeDownGone(world, options)
    expect(taken?.directory).toBe(directory)
    expect(shownSteps(taken?.steps ?? [])).toEqual([
      'hosts: changed',
      'certificate: unchanged',
      'ignore: unchanged',
    ])
    expect(readFileSync(hostsFile, 'utf8')).toBe(before)
    expect(await takeDownGone(world, options)).toEqual([])
    expect(existsSync(join(options.cwd, '.certs/shop.pem'))).toBe(true)
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

describe('a key that commits would take', () => {
  const key = '.certs/shop-key.pem'
  const git = (clone: Clone, ...args: string[]): void =>
    void execFileSync('git', ['-C', clone.directory, ...args])
  const inGit = async (): Promise<Clone> => {
    const clone = await cloneOf(shop)
    rmSync(join(clone.directory, '.git'), { recursive: true })
    git(clone, 'init', '-q')
    return clone
  }
  const failures = (steps: readonly Step[]) => steps.filter(({ outcome }) => outcome === 'failed')
  const notIssued = { code: 'certificate', subject: '.certs/shop.pem' }

  test('is not there where .gitignore names it', async () => {
    const clone = await inGit()
    expect(failures((await clone.up()).steps)).toEqual([])
    expect(failures((await clone.up()).steps)).toEqual([])
  })

  test('fails a step each time, until Git tracks it no more', async () => {
    const clone = await inGit()
    clone.write(key, 'old')
    git(clone, 'add', key)
    rmSync(join(clone.directory, key))
    for (const planOnly of [true, false, true])
      expect(failures((await clone.up({ planOnly })).steps)).toMatchObject([
        {
          code: 'ignore',
          subject: key,
          detail: `Git tracks ${key} already, so that commits take it whatever .gitignore says.`,
          hint: expect.stringMatching(/^git rm --cached \.certs\/shop-key\.pem, and commit that;/),
        },
        notIssued,
      ])
    expect(existsSync(join(clone.directory, key))).toBe(false)
    git(clone, 'rm', '-qf', '--cached', key)
    expect(failures((await clone.up()).steps)).toEqual([])
  })

  test.each(['with Git', 'without an answer of Git'])(
    'fails a step that names the line of the .gitignore below it, %s',
    async (how) => {
      const clone = how === 'with Git' ? await inGit() : await cloneOf(shop)
      clone.write('.certs/.gitignore', '*\n!shop-k*.pem\n')
      for (const planOnly of [true, false, true])
        expect(failures((await clone.up({ planOnly })).steps)).toMatchObject([
          {
            subject: key,
            detail: `Git does not ignore ${key}: line 2 of .certs/.gitignore, !shop-k*.pem, takes it into commits.`,
            hint: 'Delete line 2 of .certs/.gitignore',
          },
          notIssued,
        ])
      expect(existsSync(join(clone.directory, key))).toBe(false)
      clone.write('.certs/.gitignore', '*\n!.gitignore\n')
      expect(failures((await clone.up()).steps)).toEqual([])
    },
  )

  test('is looked for without running what the repository’s settings name', async () => {
    const clone = await inGit()
    const ran = join(clone.directory, 'ran')
    const hook = join(clone.directory, 'hook')
    writeFileSync(hook, `#!/bin/sh\ntouch ${ran}\n`, { mode: 0o755 })
    git(clone, 'config', 'core.fsmonitor', hook)
    // Without a .gitignore below, Git need not be asked.
    clone.write('.certs/.gitignore', '*\n')
    await clone.up()
    expect(existsSync(ran)).toBe(false)
  })
})

describe("the root of a team's server", () => {
  const named = async (permit: readonly string[], names?: readonly string[]) => {
    const { scope } = await foundAuthority(createMemoryStorage(), { permit }, new Date())
    const fingerprint = fingerprintOf(scope.root)
    const trust = [{ root: 'certs/team.pem', fingerprint, ...(names ? { names } : {}) }]
    const clone = await cloneOf({ ...shop, trust })
    clone.write('certs/team.pem', scope.root.toString())
    return clone
  }

  test('is trusted for the names that the file gives it, and taken back', async () => {
    for (const clone of [
      await named(['team.internal']),
      await named(['dev.example.com'], ['dev.example.com']),
    ]) {
      const { steps } = await clone.up({ allow: 'trust' })
      expect(shownSteps(steps)).toContain('trust: changed')
      expect((await clone.stores[0]?.list())?.length).toBe(2)
      expect(shownSteps(await clone.down())).toContain('trust: changed')
      expect((await clone.stores[0]?.list())?.length).toBe(1)
    }
  })

  test('is not where it may sign more than that', async () => {
    const clone = await named(['dev.example.com'])
    const { steps } = await clone.up({ allow: 'trust' })
    expect(shownSteps(steps)).not.toContain('trust: changed')
    expect((await clone.stores[0]?.list())?.length ?? 0).toBeLessThan(2)
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

  test('is undone by the next up, for a scope of its own too', async () => {
    const certificate = { names: ['api.dev.example.com'], cert: 'd.pem', key: 'd-key.pem' }
    const clone = await cloneOf({ certificates: [certificate], permit: ['dev.example.com'] })
    await clone.up({ allow: 'permit' })
    await clone.down()
    const [cert, key] = [read(clone, 'd.pem'), read(clone, 'd-key.pem')]
    const { steps } = await clone.up({ allow: 'permit' })
    expect(shownSteps(steps)).toEqual([
      'ignore: unchanged',
      'authority: unchanged',
      'permit: changed',
      'certificate: changed',
    ])
    const scope = (await readScopes(clone.world.state)).find(({ name }) => name !== 'local')
    expect(new X509Certificate(read(clone, 'd.pem')).issuer).toBe(scope?.intermediate.subject)
    // The same files, put back since, are not what is on record.
    await clone.down()
    clone.write('d.pem', cert)
    clone.write('d-key.pem', key)
    expect((await clone.up({ allow: 'permit' })).steps.at(-1)).toMatchObject({ outcome: 'failed' })
    expect(read(clone, 'd.pem')).toBe(cert)
  })

  test('takes the key with the files where the certificate is gone already', async () => {
    const clone = await cloneOf(shop)
    await clone.up()
    rmSync(join(clone.directory, '.certs/shop.pem'))
    expect((await clone.down({ files: true }))[0]).toMatchObject({ outcome: 'changed' })
    expect(existsSync(join(clone.directory, '.certs'))).toBe(false)
    await clone.up()
    rmSync(join(clone.directory, '.certs/shop.pem'))
    clone.write('.certs/shop-key.pem', 'mine')
    expect((await clone.down({ files: true }))[0]).toMatchObject({ outcome: 'kept' })
    expect(read(clone, '.certs/shop-key.pem')).toBe('mine')
  })

  test('takes the certificate whose key a killed down has deleted already', async () => {
    const clone = await cloneOf(shop)
    await clone.up()
    rmSync(join(clone.directory, '.certs/shop-key.pem'))
    await clone.down({ files: true })
    expect(existsSync(join(clone.directory, '.certs'))).toBe(false)
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
