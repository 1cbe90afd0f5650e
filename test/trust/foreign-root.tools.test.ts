import { X509Certificate } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { ensureAuthority, permitScope } from '../../src/authority/create.ts'
import { namedAuthority } from '../../src/home/state-directory.ts'
import { trustForeignRoot } from '../../src/trust/foreign-root.ts'
import { installAuthority } from '../../src/trust/install.ts'
import { beginRotation, rotate } from '../../src/trust/rotate.ts'
import { uninstallAuthority } from '../../src/trust/uninstall.ts'
import { readScopes } from '../../src/authority/scope.ts'
import { anchorOf } from '../../src/trust/machine-stores.ts'
import { makeAnchor } from '../platform/world.ts'
import { openHome } from '../helpers/home.ts'
import { temporaryState } from '../helpers/temporary.ts'
import { openWorkshop } from '../doctor/certificates.ts'
import { broken, createStore, createWorld, shown } from './memory-stores.ts'

const { pem, fingerprint } = makeAnchor()
const root = { contents: Buffer.from(pem), source: 'ada.pem', unconstrained: true }

test('trusts a root whose fingerprint is the one expected, however it is written', async () => {
  const world = createWorld(await temporaryState(), [createStore('a')])
  const colons = fingerprint.toUpperCase().replace(/..(?!$)/g, '$&:')
  const change = await trustForeignRoot(world, {}, { ...root, fingerprint: colons })
  expect(change).toMatchObject({ fingerprint, constraints: null, plannedCommands: null })
  expect(shown(change.outcomes)).toEqual(['a: installed'])
  expect(world.questions).toEqual([])
  expect(world.events).toMatchObject([{ type: 'foreign-root', constraints: null }])
})

test.each([
  ['another fingerprint', '0'.repeat(64), 'not-trusted'],
  ['a short one', fingerprint.slice(2), 'usage'],
])('trusts nothing for %s', async (_, expected, code) => {
  const store = createStore('a')
  const world = createWorld(await temporaryState(), [store])
  const change = trustForeignRoot(world, {}, { ...root, fingerprint: expected })
  await expect(change).rejects.toMatchObject({ code })
  expect(await store.list()).toEqual([])
})

test('asks the person where no fingerprint is given, but not in a dry run', async () => {
  const store = createStore('a', { install: async () => {} })
  const state = await temporaryState()
  const refused = trustForeignRoot(createWorld(state, [store], false), {}, root)
  await expect(refused).rejects.toMatchObject({ code: 'cancelled' })
  const world = createWorld(state, [store])
  const change = await trustForeignRoot(world, { dryRun: true }, root)
  expect(world.questions).toEqual([])
  expect(shown(change.outcomes)).toEqual(['a: would-install'])
  expect(change.plannedCommands).toEqual([])
  await trustForeignRoot(world, {}, root)
  expect(world.questions).toEqual([{ type: 'trust-foreign-root', fingerprint }])
})

test('refuses an unconstrained root before it asks, and another fingerprint before that', async () => {
  const world = createWorld(await temporaryState(), [createStore('a')])
  const plain = { ...root, unconstrained: false }
  await expect(trustForeignRoot(world, {}, plain)).rejects.toMatchObject({
    code: 'usage',
    message: 'ada.pem is unconstrained, so it was not trusted.',
  })
  const other = trustForeignRoot(world, {}, { ...plain, fingerprint: '0'.repeat(64) })
  await expect(other).rejects.toMatchObject({ code: 'not-trusted' })
  expect(world.questions).toEqual([])
})

test('throws for a file that is not a root', async () => {
  const world = createWorld(await temporaryState(), [])
  const change = trustForeignRoot(world, {}, { contents: Buffer.from('no'), source: 'no.pem' })
  await expect(change).rejects.toMatchObject({ code: 'bad-certificate' })
})

const dns = 'permitted;DNS:corp.test'
const ip = 'permitted;IP:10.0.0.0/255.0.0.0'
const noIp = 'excluded;IP:0.0.0.0/0.0.0.0,excluded;IP:0:0:0:0:0:0:0:0/0:0:0:0:0:0:0:0'
const half = (first: string) => `permitted;IP:${first}/128.0.0.0`
const everything = 'any host name and any IP address'

/** Shapes of nameConstraints, and what `show` and `trust` say that a root may sign. */
const shapes = [
  { constraints: undefined, free: ['dns', 'ip'], says: 'any name (unconstrained)' },
  {
    constraints: 'permitted;email:corp.test',
    free: ['dns', 'ip'],
    says: `${everything} (unconstrained); else only e-mail corp.test`,
  },
  {
    constraints: 'permitted;URI:corp.test',
    free: ['dns', 'ip'],
    says: `${everything} (unconstrained); else only URI corp.test`,
  },
  {
    constraints: 'excluded;DNS:bank.test,excluded;IP:10.0.0.0/255.0.0.0',
    free: ['dns', 'ip'],
    says: `${everything} (unconstrained); not bank.test, 10.0.0.0/8`,
  },
  {
    constraints: dns,
    free: ['ip'],
    says: 'any IP address (unconstrained); else only corp.test',
  },
  { constraints: ip, free: ['dns'], says: 'any host name (unconstrained); else only 10.0.0.0/8' },
  {
    constraints: `${dns},permitted;IP:0.0.0.0/0.0.0.0`,
    free: ['ip'],
    says: 'any IP address (unconstrained); else only corp.test',
  },
  {
    constraints: `${dns},${ip},permitted;IP:0:0:0:0:0:0:0:0/0:0:0:0:0:0:0:0`,
    free: ['ip'],
    says: 'any IP address (unconstrained); else only corp.test',
  },
  {
    constraints: `${dns},${half('0.0.0.0')},${half('128.0.0.0')}`,
    free: ['ip'],
    says: 'the IP addresses in 0.0.0.0/1, 128.0.0.0/1 (unconstrained); else only corp.test',
  },
  {
    constraints: `${dns},permitted;IP:0.0.0.0/0.0.0.255`,
    free: ['ip'],
    says: 'the IP addresses in #00000000000000ff (unconstrained); else only corp.test',
  },
  {
    constraints: `${dns},excluded;IP:0.0.0.0/0.0.0.0`,
    free: ['ip'],
    says: 'any IP address (unconstrained); else only corp.test; not 0.0.0.0/0',
  },
  // permitted: an empty DNS name, and 10.0.0.0/8
  {
    constraints: 'DER:30:12:A0:10:30:02:82:00:30:0A:87:08:0A:00:00:00:FF:00:00:00',
    free: ['dns'],
    says: 'any host name (unconstrained); else only 10.0.0.0/8',
  },
  { constraints: `${dns},${ip}`, free: [], says: 'only corp.test, 10.0.0.0/8' },
  { constraints: `${dns},${noIp}`, free: [], says: 'only corp.test; not 0.0.0.0/0, ::/0' },
  // permitted: 10.0.0.0/8; excluded: an empty DNS name
  {
    constraints: 'DER:30:14:A0:0C:30:0A:87:08:0A:00:00:00:FF:00:00:00:A1:04:30:02:82:00',
    free: [],
    says: 'only 10.0.0.0/8; not any host name',
  },
  {
    constraints: `permitted;DNS:com,permitted;DNS:.de,permitted;DNS:test,${ip}`,
    free: ['dns'],
    says: 'any host name in com, .de (unconstrained); else only 10.0.0.0/8',
  },
  // OpenSSL takes www.bank.com below this one.
  {
    constraints: `${ip},excluded;DNS:.`,
    free: ['dns'],
    says: 'any host name (unconstrained); else only 10.0.0.0/8; not .',
  },
]

test.for(shapes)(
  'trusts a root of $constraints only as what it is: $says',
  async ({ constraints, free, says }) => {
    const workshop = await openWorkshop(constraints)
    onTestFinished(() => workshop.remove())
    const home = openHome()
    writeFileSync(join(home.directory, 'ada.pem'), workshop.root)
    const shownRoot = await home.rootling(['show', 'ada.pem'])
    expect(shownRoot.stdout.replace(/\s+/g, ' ')).toContain(`may sign ${says}; `)
    const sha256 = /SHA-256\s+(\S+)/.exec(shownRoot.stdout)?.[1] ?? ''

    const store = createStore('a')
    const world = createWorld(await temporaryState(), [store])
    const ada = { contents: Buffer.from(workshop.root), source: 'ada.pem', fingerprint: sha256 }
    if (free.length > 0) {
      await expect(trustForeignRoot(world, {}, ada)).rejects.toMatchObject({
        code: 'usage',
        message: 'ada.pem is unconstrained, so it was not trusted.',
      })
      expect(await store.list()).toEqual([])
    }
    const unconstrained = free.length > 0
    const change = await trustForeignRoot(world, {}, { ...ada, unconstrained })
    expect(change.unconstrained).toEqual(free)
    expect(shown(change.outcomes)).toEqual(['a: installed'])

    const line = ['trust', 'ada.pem', '--fingerprint', sha256, '--dry-run', '--stores', 'nss']
    const refused = await home.rootling(line)
    expect(refused.exitCode).toBe(free.length > 0 ? 2 : 0)
    expect(refused.stderr).toContain(`may sign: ${says}\n`)
    const warning = 'This root is unconstrained: it may sign '
    for (const text of [refused.stderr, shownRoot.stdout])
      if (free.length > 0) expect(text).toContain(warning)
      else expect(text).not.toContain(warning)
    expect((await home.rootling([...line, '--unconstrained'])).exitCode).toBe(0)
  },
)

test('takes a root whose constraints are not critical for an unconstrained one, and says why', async () => {
  const workshop = await openWorkshop(`${dns},${ip}`, false)
  onTestFinished(() => workshop.remove())
  const store = createStore('a')
  const world = createWorld(await temporaryState(), [store])
  const contents = Buffer.from(workshop.root)
  const sha256 = new X509Certificate(contents).fingerprint256
  const ada = { contents, source: 'ada.pem', fingerprint: sha256 }
  const why = 'its name constraints are not critical, so that clients may pass over them.'
  await expect(trustForeignRoot(world, {}, ada)).rejects.toMatchObject({
    code: 'usage',
    message: `ada.pem was not trusted: it is unconstrained, since ${why}`,
  })
  expect(await store.list()).toEqual([])
  const change = await trustForeignRoot(world, {}, { ...ada, unconstrained: true })
  expect(change).toMatchObject({
    unconstrained: ['dns', 'ip'],
    constraints: { dns: ['corp.test'], ip: ['10.0.0.0/8'] },
  })

  const home = openHome()
  writeFileSync(join(home.directory, 'ada.pem'), workshop.root)
  const line = ['trust', 'ada.pem', '--fingerprint', sha256, '--dry-run', '--stores', 'nss']
  const refused = await home.rootling(line)
  expect(refused.exitCode).toBe(2)
  expect(refused.stderr).toContain('may sign: any name (unconstrained)\n')
  expect(refused.stderr.replace(/\s+/g, ' ')).toContain(`The reason: ${why}`)
  expect((await home.rootling([...line, '--unconstrained'])).exitCode).toBe(0)
})

const java = (changes = {}) => createStore('java', { kind: 'java', ...changes })
const trusting = { ...root, fingerprint }
const ignores = 'Java ignores the name constraints of a root'

test('leaves Java out, and says why, unless Java is named', async () => {
  const state = await temporaryState()
  const [system, left] = [createStore('system', { kind: 'system' }), java()]
  const world = createWorld(state, [system, left])
  const byDefault = await trustForeignRoot(world, {}, trusting)
  expect(shown(byDefault.outcomes)).toEqual(['system: installed', 'java: skipped'])
  expect(byDefault.outcomes[1]?.reason).toContain(ignores)
  expect(byDefault.outcomes[1]?.reason).toContain('--stores java')
  expect(world.events).toMatchObject([{ java: false }])
  expect(await left.list()).toEqual([])
  const named = await trustForeignRoot(world, { kinds: ['java'] }, trusting)
  expect(shown(named.outcomes)).toEqual(['java: installed'])
  expect(world.events[1]).toMatchObject({ java: true })
  const again = await trustForeignRoot(world, { kinds: ['system'] }, trusting)
  expect(shown(again.outcomes)).toEqual(['system: already-installed', 'java: already-installed'])
  expect(await left.list()).toHaveLength(1)
})

/** A system store whose change the system copies into Java's, as on Debian. */
const copying = (target: ReturnType<typeof createStore>) => {
  const inner = createStore('system')
  return createStore('system', {
    ...inner,
    kind: 'system',
    install: async (anchor) => {
      await inner.install(anchor)
      await target.install(anchor)
    },
  })
}

test('takes out of Java what the system copied there, or says that it could not', async () => {
  const state = await temporaryState()
  const copied = java()
  const well = createWorld(state, [copying(copied), copied])
  const undone = await trustForeignRoot(well, {}, trusting)
  expect(shown(undone.outcomes)).toEqual(['system: installed', 'java: skipped'])
  expect(undone.outcomes[1]?.reason).toContain('was removed again')
  expect(await copied.list()).toEqual([])

  const stubborn = java({ uninstall: broken })
  const badly = createWorld(state, [copying(stubborn), stubborn])
  const { outcomes } = await trustForeignRoot(badly, {}, trusting)
  expect(shown(outcomes)).toEqual(['system: installed', 'java: failed'])
  expect(outcomes[1]).toMatchObject({ hint: 'Repair it' })
})

test('a root that Java was spared stays out of it when the system copies its store again', async () => {
  const state = await temporaryState()
  const copied = java()
  const inner = createStore('system')
  // As Debian does with `update-ca-certificates --fresh`, by which a root leaves the bundle.
  const system = createStore('system', {
    ...inner,
    kind: 'system',
    uninstall: async (anchor) => {
      await inner.uninstall(anchor)
      await copied.uninstall(anchor)
      for (const each of await inner.list()) await copied.install(each)
    },
  })
  const world = createWorld(state, [system, copied])
  await trustForeignRoot(world, {}, trusting)
  const { scopes } = await installAuthority(world, {}, null)
  expect(await rotate(world, {}, 'local')).toMatchObject({ stoppedAt: null })
  const held = async () => (await copied.list()).map((each) => each.fingerprint)
  const own = (await readScopes(state)).map((scope) => anchorOf(scope).fingerprint)
  expect(scopes).toHaveLength(1)
  expect(await held()).toEqual(own)
  await uninstallAuthority(world, { kinds: ['system'] }, {})
  expect(await inner.list()).toMatchObject([{ fingerprint }])
  expect(await held()).not.toContain(fingerprint)
})

test('refuses a root that no store must trust, of whichever authority of this machine', async () => {
  const store = createStore('a')
  const state = await temporaryState()
  await ensureAuthority(state, new Date())
  const secret = { permit: [], name: 'vpn', private: true }
  const { scope } = await permitScope(state, secret, new Date())
  const { old, next } = await beginRotation(state, 'vpn', new Date())
  expect(old.rootPath).toBe(scope.rootPath)
  for (const each of [old, next])
    for (const of of [state, namedAuthority(state, 'work')]) {
      const contents = Buffer.from(each.root.toString())
      const request = { contents, source: 'vpn.pem', fingerprint: anchorOf(each).fingerprint }
      await expect(
        trustForeignRoot(createWorld(of, [store]), {}, { ...request, unconstrained: true }),
      ).rejects.toMatchObject({ code: 'usage', message: expect.stringContaining('private scope') })
    }
  expect(await store.list()).toEqual([])
})
