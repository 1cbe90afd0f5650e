import { execFileSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import {
  chmodSync,
  chownSync,
  linkSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { ensureAuthority } from '../../src/authority/create.ts'
import { RootlingError } from '../../src/errors.ts'
import { anchorOf } from '../../src/trust/machine-stores.ts'
import { fingerprintOf } from '../../src/x509/parsed-certificate.ts'
import { temporaryDirectory } from '../helpers/temporary.ts'
import { hasTool } from '../helpers/tools.ts'
import { foreignRoot } from './foreign-roots.ts'
import { cloneOf, shop, shownSteps, type Clone } from './team.ts'

/*
 * A cloned file is not the user: each row is what somebody's pull request could hold. Nothing of it
 * may be done before a person agrees, and most of it never.
 */

const isRoot = process.getuid?.() === 0
const openssl = await hasTool('openssl')

/** Says what `up` refuses, and holds that it changed nothing. */
async function refused(clone: Clone): Promise<string> {
  const before = treeOf(clone)
  const error = await clone.up().then(
    () => null,
    (caught: unknown) => caught,
  )
  expect(error).toBeInstanceOf(RootlingError)
  expect(treeOf(clone)).toEqual(before)
  for (const store of clone.stores) expect(await store.list()).toEqual([])
  const { message, faults = [] } = error as RootlingError
  return [message, ...faults.map(({ key, message: fault }) => `${key}: ${fault}`)].join('\n')
}

const treeOf = ({ directory, world }: Clone): string[] =>
  [directory, world.state.path].flatMap((path) => {
    try {
      return readdirSync(path, { recursive: true, encoding: 'utf8' }).toSorted()
    } catch {
      return []
    }
  })

const pair = (cert: string, key: string, more: object = {}) => ({
  certificates: [{ names: ['shop.test'], cert, key, ...more }],
})

describe('a path', () => {
  test.each([
    ['above the repository', '../outside.pem', /two dots/],
    ['above it, further in', 'a/../../outside.pem', /two dots/],
    ['above it, for Windows', '..\\outside.pem', /no file name has everywhere/],
    ['absolute', '/etc/ssl/private/site.pem', /leads out/],
    ['absolute, for Windows', 'C:/Windows/site.pem', /leads out/],
    ['on a share', '//server/share/site.pem', /leads out/],
    ['in the home directory', '~/site.pem', /leads out/],
    ['with a variable', '$HOME/site.pem', /variables are not expanded/],
    ['with a variable, in braces', '${HOME}/site.pem', /variables are not expanded/],
    ['with a variable, for Windows', '%USERPROFILE%/site.pem', /variables are not expanded/],
    ['of Git', '.git/hooks/site.pem', /version control/],
    ['of Git, in other letters', '.GIT/hooks/site.pem', /version control/],
    ['of Git, in letters that are folded', '.ｇｉｔ/hooks/site.pem', /version control/],
    ['of Git, in letters that are ignored', '.g\u200Cit/hooks/site.pem', /invisible/],
    ['of Git, by its short name', 'GIT~1/hooks/site.pem', /Windows takes for another/],
    ['of Git, with a dot that is dropped', '.git./hooks/site.pem', /Windows takes for another/],
    ['of Git, with a stream', '.git::$INDEX_ALLOCATION/site.pem', /no file name has everywhere/],
    ['of the settings of Git', '.git/config', /ends in \.pem/],
    ['of a hook', '.git/hooks/pre-commit', /ends in \.pem/],
    ['with a zero octet', 'a\u0000.pem', /control character/],
    ['of a device in a directory', 'certs/NUL/site.pem', /Windows takes for another/],
    ['of a device, with an ending', 'com1.pem', /Windows takes for another/],
    ['below a file that is no directory', 'rootling.json/site.pem', /which is no directory/],
    ['with a space that is dropped', 'certs /site.pem', /Windows takes for another/],
    ['that is too long', `${'a/'.repeat(260)}site.pem`, /too long/],
    ['of a workflow', '.github/workflows/site.pem', /version control/],
    ['in decomposed letters', 'cafe\u0301/site.pem', /another form/],
    ['of a device', 'aux/con.pem', /Windows takes for another/],
    ['with a line end', 'a\n.pem', /control character/],
    ['with an escape sequence', 'a\u001b[8m.pem', /control character/],
    ['of a script', 'src/index.js', /ends in \.pem/],
    ['of a manifest', 'package.json', /ends in \.pem/],
    ['that is a directory', '.certs/', /ends in \.pem/],
  ])('%s is refused', async (_title, path, why) => {
    expect(await refused(await cloneOf(pair(path, 'key.pem')))).toMatch(why)
    expect(await refused(await cloneOf(pair('cert.pem', path)))).toMatch(why)
  })

  test.each([
    '.git/.env',
    '.git/hooks/post-checkout',
    'package.json',
    '../.env',
    '.gitignore',
    '/etc/.env',
    '.bashrc',
    '../.bashrc',
    '~/.bashrc',
    // direnv runs this one as a script.
    '.envrc',
    'app/.ENVRC',
  ])('of the variables may not be %s', async (file) => {
    expect(await refused(await cloneOf({ env: { file } }))).toContain('env.file')
  })

  test('through a linked directory is refused, whether it leads out or not', async () => {
    for (const target of [await temporaryDirectory(), '.']) {
      const clone = await cloneOf(pair('certs/site.pem', 'key.pem'))
      symlinkSync(target, join(clone.directory, 'certs'))
      expect(await refused(clone)).toContain('leads through the symbolic link')
    }
  })

  test('to a linked file is refused, and what it leads to stays', async () => {
    const outside = join(await temporaryDirectory(), 'precious.pem')
    writeFileSync(outside, 'precious')
    const clone = await cloneOf(pair('site.pem', 'key.pem'))
    symlinkSync(outside, join(clone.directory, 'key.pem'))
    expect(await refused(clone)).toContain('symbolic link')
    expect(readFileSync(outside, 'utf8')).toBe('precious')
  })

  test('that becomes a link after the check is refused', async () => {
    const clone = await cloneOf(pair('certs/site.pem', 'certs/key.pem'))
    const outside = await temporaryDirectory()
    const { steps } = await clone.up({
      onStep: ({ code }) => {
        if (code === 'certificate') symlinkSync(outside, join(clone.directory, 'certs'))
      },
    })
    expect(steps.find(({ code }) => code === 'certificate')).toMatchObject({
      outcome: 'failed',
      detail: expect.stringContaining('symbolic link') as string,
    })
    expect(readdirSync(outside)).toEqual([])
  })

  test.each([
    ['key', 'other.pem', 'src/certs/tracked.pem'],
    ['certificate', 'src/certs/tracked.pem', 'other.pem'],
  ])('of the %s that is a file of somebody is refused', async (_title, cert, key) => {
    const clone = await cloneOf(pair(cert, key))
    clone.write('src/certs/tracked.pem', 'a source file')
    const { steps } = await clone.up()
    expect(steps.find(({ code }) => code === 'certificate')).toMatchObject({
      outcome: 'failed',
      hint: expect.not.stringContaining('--force') as string,
    })
    const left = readFileSync(join(clone.directory, 'src/certs/tracked.pem'), 'utf8')
    expect(left).toBe('a source file')
  })

  test('that is another name of a file outside is not written through', async () => {
    const outside = join(await temporaryDirectory(), 'precious.pem')
    writeFileSync(outside, 'precious')
    const clone = await cloneOf(pair('site.pem', 'key.pem'))
    linkSync(outside, join(clone.directory, 'key.pem'))
    await clone.up()
    expect(readFileSync(outside, 'utf8')).toBe('precious')
  })

  test('of .gitignore that is a link is not followed', async () => {
    const outside = join(await temporaryDirectory(), 'precious')
    writeFileSync(outside, 'precious\n')
    const clone = await cloneOf(shop)
    symlinkSync(outside, join(clone.directory, '.gitignore'))
    const { steps } = await clone.up()
    expect(steps[0]).toMatchObject({ code: 'ignore', outcome: 'failed' })
    expect(readFileSync(outside, 'utf8')).toBe('precious\n')
  })
})

test('a file of variables that is there already is left', async () => {
  const clone = await cloneOf({ env: { file: '.env' } })
  clone.write('.env', 'PASSWORD=secret\n')
  const { steps } = await clone.up()
  expect(steps.at(-1)).toMatchObject({ code: 'env', outcome: 'failed' })
  expect(readFileSync(join(clone.directory, '.env'), 'utf8')).toBe('PASSWORD=secret\n')
})

test('a file that comes while a person is asked is left too', async () => {
  const clone = await cloneOf({
    ...pair('site.pem', 'key.pem'),
    hosts: { 'bank.com': '127.0.0.1' },
    env: { file: '.env' },
  })
  const { steps } = await clone.up({
    approve: async () => {
      clone.write('.env', 'PASSWORD=secret\n')
      clone.write('key.pem', 'precious')
      return true
    },
  })
  for (const code of ['certificate', 'env'])
    expect(steps.find((step) => step.code === code)).toMatchObject({ outcome: 'failed' })
  expect(readFileSync(join(clone.directory, '.env'), 'utf8')).toBe('PASSWORD=secret\n')
  expect(readFileSync(join(clone.directory, 'key.pem'), 'utf8')).toBe('precious')
  expect(readFileSync(clone.hostsFile, 'utf8')).toContain('bank.com')
})

describe('a key that Git does not ignore is not written', () => {
  const failed = {
    outcome: 'failed',
    detail: expect.stringContaining('its key could get into a commit') as string,
  }

  test('where .gitignore is a link', async () => {
    const clone = await cloneOf(shop)
    symlinkSync('elsewhere', join(clone.directory, '.gitignore'))
    const planned = await clone.up({ planOnly: true })
    expect(planned.steps.find(({ code }) => code === 'certificate')).toMatchObject(failed)
    const { steps } = await clone.up()
    expect(steps.find(({ code }) => code === 'certificate')).toMatchObject(failed)
    expect(readdirSync(clone.directory)).not.toContain('.certs')
  })

  test('where its lines are gone when the certificate is to be issued', async () => {
    const clone = await cloneOf(shop)
    const { steps } = await clone.up({
      onStep: ({ code }) => {
        if (code === 'certificate') clone.write('.gitignore', '# nothing\n')
      },
    })
    expect(shownSteps(steps)).toContain('ignore: changed')
    expect(steps.find(({ code }) => code === 'certificate')).toMatchObject(failed)
    expect(treeOf(clone)).not.toContain('.certs/shop-key.pem')
  })
})

describe('the file itself', () => {
  test('that is a link is refused', async () => {
    const clone = await cloneOf(null)
    const outside = join(await temporaryDirectory(), 'any.json')
    writeFileSync(outside, '{"version": 1}')
    symlinkSync(outside, join(clone.directory, 'rootling.json'))
    expect(await refused(clone)).toContain('is a symbolic link, which is not followed')
  })

  test('of 100 MB is refused unread', async () => {
    const clone = await cloneOf({})
    truncateSync(join(clone.directory, 'rootling.json'), 100 * 1024 * 1024)
    expect(await refused(clone)).toContain('is larger than')
  })

  test('in the home directory, or above it, is refused', async () => {
    for (const below of ['', '/home/ada']) {
      const clone = await cloneOf(shop)
      const env = { HOME: clone.directory + below }
      expect(await refused({ ...clone, up: () => upWith(clone, env) })).toContain(
        `holds the home directory ${env.HOME}`,
      )
    }
  })

  test('that every user can change is refused', async () => {
    const clone = await cloneOf(shop)
    chmodSync(join(clone.directory, 'rootling.json'), 0o666)
    expect(await refused(clone)).toContain('Every user of this machine can change')
    chmodSync(join(clone.directory, 'rootling.json'), 0o644)
    chmodSync(clone.directory, 0o777)
    expect(await refused(clone)).toContain('Every user of this machine can change')
  })

  test.skipIf(!isRoot)('of another user is refused, and so is a directory of theirs', async () => {
    for (const path of ['rootling.json', '.']) {
      const clone = await cloneOf(shop)
      chownSync(join(clone.directory, path), 4321, 4321)
      expect(await refused(clone)).toContain('belongs to another user')
    }
  })

  test.each(['certificates', 'hosts', 'trust'])(
    'with %s twice, of which a reviewer sees one, is refused',
    async (key) => {
      const clone = await cloneOf(null)
      const value = key === 'hosts' ? '{}' : '[]'
      clone.write('rootling.json', `{"version": 1, "${key}": ${value}, "${key}": ${value}}`)
      expect(await refused(clone)).toContain(`${key}: This key is there twice`)
    },
  )

  test.each(['__proto__', 'constructor', 'toString', 'hosts\u0000', 'h\u043Ests'])(
    'with the key %j is refused, wherever it is',
    async (key) => {
      const member = JSON.stringify({ [key]: 1 }).slice(1, -1)
      const texts = [
        `{"version": 1, ${member}}`,
        `{"version": 1, "env": {"file": ".env", ${member}}}`,
        `{"version": 1, "hosts": {${member}}}`,
      ]
      for (const text of texts) {
        const clone = await cloneOf(null)
        clone.write('rootling.json', text)
        await refused(clone)
      }
      expect(({} as Record<string, unknown>)['file']).toBeUndefined()
    },
  )

  test('that nests a hundred thousand levels deep is refused', async () => {
    const clone = await cloneOf(null)
    clone.write('rootling.json', `{"version": 1, "permit": ${'['.repeat(100_000)}`)
    expect(await refused(clone)).toContain('nested deeper than 32 levels')
  })

  test('of a dependency or a submodule gets nothing of what the project was allowed', async () => {
    const members = pair('a.pem', 'a-key.pem', { onRenew: ': curl evil.example' })
    const clone = await cloneOf(members)
    await clone.up({ allow: 'run' })
    for (const inner of ['node_modules/evil', 'vendored']) {
      clone.write(`${inner}/rootling.json`, JSON.stringify({ version: 1, ...members }))
      if (inner === 'vendored') clone.write(`${inner}/.git`, 'gitdir: ../.git/modules/vendored\n')
      expect(await clone.up({ cwd: join(clone.directory, inner) })).toMatchObject({ stopped: true })
      expect(readdirSync(join(clone.directory, inner))).not.toContain('a.pem')
    }
    // The project itself does not look into them.
    expect((await clone.up()).project.directory).toBe(clone.directory)
  })

  test('above the repository is not found', async () => {
    const clone = await cloneOf(shop)
    const inner = join(clone.directory, 'vendored')
    mkdirSync(join(inner, '.git'), { recursive: true })
    expect(await refused({ ...clone, up: () => clone.up({ cwd: inner }) })).toContain(
      `There is no rootling.json in ${inner}.`,
    )
  })

  test('beside a lock file above is not passed', async () => {
    const top = await temporaryDirectory()
    writeFileSync(join(top, 'rootling.json'), '{"version": 1}')
    const workspace = join(top, 'workspace')
    mkdirSync(join(workspace, 'packages/app'), { recursive: true })
    writeFileSync(join(workspace, 'pnpm-lock.yaml'), '')
    const clone = await cloneOf({})
    const up = () => clone.up({ cwd: join(workspace, 'packages/app') })
    expect(await refused({ ...clone, up })).toContain(`or above it, up to ${workspace}.`)
  })
})

const upWith = (clone: Clone, env: Record<string, string>) => {
  Object.assign(clone.world, { env })
  return clone.up()
}

describe('what can hurt is approved first', () => {
  const dangers = {
    run: pair('a.pem', 'a-key.pem', { onRenew: ': curl evil.example' }),
    permit: { permit: ['bank.com'] },
    hosts: { hosts: { 'bank.com': '127.0.0.1' } },
    'hosts, of a local name that leads elsewhere': { hosts: { 'vault.internal': '203.0.113.9' } },
    'permit, by a certificate': {
      certificates: [{ names: ['bank.com'], cert: 'a.pem', key: 'b.pem' }],
      permit: ['bank.com'],
    },
  }
  test.each(Object.entries(dangers))('%s', async (title, members) => {
    const clone = await cloneOf(members)
    const kind = title.split(',')[0] ?? ''
    const stopped = await clone.up()
    expect(stopped).toMatchObject({ stopped: true })
    expect(stopped.unapproved.map((each) => each.kind)).toContain(kind)
    expect(readFileSync(clone.hostsFile, 'utf8')).toBe('127.0.0.1 localhost\n')
    expect(treeOf(clone).some((path) => path.includes('scopes'))).toBe(false)
    // Another kind does not help, and a plan asks nothing.
    const others = ['run', 'trust', 'permit', 'hosts'].filter((each) => each !== kind).join()
    expect(await clone.up({ allow: others })).toMatchObject({ stopped: true })
    expect(await clone.up({ planOnly: true })).toMatchObject({ stopped: false })
    expect(
      (await clone.up({ allow: kind })).steps.every(({ outcome }) => outcome === 'changed'),
    ).toBe(true)
    expect(await clone.up()).toMatchObject({ stopped: false, unapproved: [] })
  })

  test('is shown in full, in one line each', async () => {
    const clone = await cloneOf({ ...dangers.run, permit: ['*.BANK.com'] }, { answer: false })
    await expect(clone.up()).rejects.toMatchObject({ code: 'cancelled' })
    expect(clone.asked).toEqual([
      [
        {
          kind: 'permit',
          text: "let this machine's authority sign bank.com, and all names below, and trust that here",
        },
        { kind: 'run', text: 'run after each renewal of a.pem: : curl evil.example' },
      ],
    ])
    expect(treeOf(clone).some((path) => path.includes('scopes'))).toBe(false)
  })

  test.each(['a\nb', 'a\u001b[2Jb', 'a\u202Eb', 'a\u2028b', 'x'.repeat(2_001)])(
    'a command that could not be shown as it is, %j, is refused',
    async (onRenew) => {
      const why = await refused(await cloneOf(pair('a.pem', 'b.pem', { onRenew })))
      expect(why).toContain('certificates[0].onRenew')
    },
  )

  test('an approval ends with what was approved', async () => {
    const clone = await cloneOf(dangers.run, { answer: true })
    await clone.up()
    expect(clone.asked).toHaveLength(1)
    await clone.up()
    expect(clone.asked).toHaveLength(1)
    clone.file(pair('a.pem', 'a-key.pem', { onRenew: ': wget evil.example' }))
    await clone.up()
    expect(clone.asked).toHaveLength(2)
    // What was approved before that is not approved any more.
    clone.file(dangers.run)
    await clone.up()
    expect(clone.asked).toHaveLength(3)
  })

  test('an approval of one danger is none of another', async () => {
    const clone = await cloneOf(pair('a.pem', 'a-key.pem', { onRenew: ': one' }))
    await clone.up({ allow: 'run' })
    // The same command for another file, and a name in the place of the command.
    for (const members of [
      pair('b.pem', 'b-key.pem', { onRenew: ': one' }),
      { hosts: { 'bank.com': '127.0.0.1' } },
      { permit: ['bank.com'] },
    ]) {
      clone.file(members)
      expect(await clone.up()).toMatchObject({ stopped: true })
    }
  })

  test.each([
    ['google.com', '127.0.0.1'],
    ['GOOGLE.com', '::1'],
    ['g\u043E\u043Egle.com', '127.0.0.1'],
    ['login.test', '10.0.0.1'],
    ['login.test', '::ffff:203.0.113.9'],
    ['localhost.evil.com', '127.0.0.1'],
  ])('a line for %s at %s is shown as what programs look up', async (name, address) => {
    const clone = await cloneOf({ hosts: { [name]: address } })
    const stopped = await clone.up().catch((error: unknown) => error)
    expect(readFileSync(clone.hostsFile, 'utf8')).toBe('127.0.0.1 localhost\n')
    if (stopped instanceof RootlingError) return expect(stopped.code).toBe('bad-project')
    expect(stopped).toMatchObject({ stopped: true, unapproved: [{ kind: 'hosts' }] })
    // Letters that look like others are shown in ASCII.
    const [danger] = (stopped as Awaited<ReturnType<Clone['up']>>).unapproved
    expect(danger?.text).toMatch(/^[\x20-\x7E]+$/)
  })

  test.each(['b\u0430nk.com', 'bank.com.', 'xn--bnk-5cd.com'])(
    'a certificate for %s, which looks like a bank, is not issued',
    async (name) => {
      const clone = await cloneOf(pair('a.pem', 'b.pem', { names: [name] }))
      await clone.up({ allow: 'run,hosts' }).catch(() => undefined)
      expect(readdirSync(clone.directory)).not.toContain('a.pem')
    },
  )

  test('an approval is of one clone alone', async () => {
    const clone = await cloneOf(dangers.run)
    await clone.up({ allow: 'run' })
    const other = await cloneOf(dangers.run, { beside: clone })
    expect(await other.up()).toMatchObject({ stopped: true })
  })

  test('rootling.local.json approves nothing, since it may be committed too', async () => {
    const clone = await cloneOf(shop)
    clone.write('rootling.local.json', JSON.stringify(dangers.run))
    expect(await clone.up()).toMatchObject({ stopped: true })
    clone.write('rootling.local.json', JSON.stringify({ approved: ['run'], allow: ['run'] }))
    expect(await refused(clone)).toContain('allow: There is no such key')
  })

  test.each(['com', '.com', '0.0.0.0/0', '*', '::/0', '128.0.0.0/1'])(
    'permit of %s is refused, whoever agrees',
    async (name) => {
      expect(await refused(await cloneOf({ permit: [name] }))).toContain('permit[0]')
    },
  )

  test('a certificate for what no scope may sign is left out, and says what is missing', async () => {
    const clone = await cloneOf(pair('a.pem', 'b.pem', { names: ['bank.com'] }))
    const { steps } = await clone.up({ allow: 'permit' })
    expect(steps.find(({ code }) => code === 'certificate')).toMatchObject({
      outcome: 'failed',
      hint: 'Add the domain to "permit" in rootling.json',
    })
  })

  test.each([
    'vault.internal',
    'nas.lan',
    'printer.LOCAL',
    'router.home.arpa',
    'nas.localdomain',
    'wiki.corp',
    'nas.home',
    'wiki.intranet',
    'intranet',
    'test.lan',
  ])('a line for %s, which a server of the network may have, is approved first', async (name) => {
    const clone = await cloneOf({ hosts: { [name]: '127.0.0.1' } })
    expect(await clone.up()).toMatchObject({ stopped: true, unapproved: [{ kind: 'hosts' }] })
    expect(await clone.up({ allow: 'run,trust,permit' })).toMatchObject({ stopped: true })
    expect(readFileSync(clone.hostsFile, 'utf8')).toBe('127.0.0.1 localhost\n')
    expect(shownSteps((await clone.up({ allow: 'hosts' })).steps)).toContain('hosts: changed')
  })

  test('lines for names that nobody can own need no approval', async () => {
    const hosts = ['SHOP.test', 'test', 'a.localhost', 'a.example', 'a.invalid']
    const clone = await cloneOf({ hosts: Object.fromEntries(hosts.map((name) => [name, '::1'])) })
    expect(await clone.up()).toMatchObject({ stopped: false, unapproved: [] })
    expect(readFileSync(clone.hostsFile, 'utf8')).toContain('::1 shop.test')
  })

  test.each(['wiki.corp', 'nas.home', 'intranet'])(
    'a certificate for %s, which is none of the local names, is approved first',
    async (name) => {
      const clone = await cloneOf(pair('a.pem', 'b.pem', { names: [name] }))
      clone.file({ ...pair('a.pem', 'b.pem', { names: [name] }), permit: ['wiki.corp'] })
      const { unapproved } = await clone.up({ planOnly: true })
      expect(unapproved.map(({ kind }) => kind)).toContain('permit')
    },
  )

  test.each([
    'localhost',
    'LOCALHOST',
    'localhost.',
    'localhost.localdomain',
    '\uFF4C\uFF4F\uFF43\uFF41\uFF4C\uFF48\uFF4F\uFF53\uFF54.localdomain',
    'ip6-localhost',
    'IP6-loopback.',
    'ip6-allnodes',
    'ip6-\uFF41llrouters',
    'localhost6.localdomain6',
  ])('a line for %s in the hosts file is refused', async (name) => {
    expect(await refused(await cloneOf({ hosts: { [name]: '203.0.113.9' } }))).toContain(
      'a name of this machine itself',
    )
  })
})

describe('a root', () => {
  const wants = (fingerprint: string, names: readonly string[] = []) => ({
    trust: [{ root: 'certs/team.pem', fingerprint, names }],
  })
  const withRoot = async (constraints: 'none' | 'local' | 'team' | 'free addresses') => {
    const root = await foreignRoot(constraints)
    const clone = await cloneOf(null)
    clone.write('certs/team.pem', root.pem)
    return { clone, ...root }
  }
  const held = async ({ stores }: Clone, fingerprint: string) =>
    Promise.all(
      stores.map(async (store) =>
        (await store.list()).some((each) => each.fingerprint === fingerprint),
      ),
    )

  test('of a teammate is trusted once that was approved', async () => {
    const { clone, fingerprint } = await withRoot('local')
    clone.file(wants(fingerprint))
    expect(await clone.up()).toMatchObject({ stopped: true })
    expect(await held(clone, fingerprint)).toEqual([false, false])
    const { steps } = await clone.up({ allow: 'trust' })
    expect(shownSteps(steps)).toEqual(['authority: changed', 'trust: changed'])
    expect(await held(clone, fingerprint)).toEqual([true, true])
  })

  test('may sign only the names that the file says', async () => {
    const { clone, fingerprint } = await withRoot('team')
    clone.file(wants(fingerprint))
    const { steps } = await clone.up({ allow: 'trust' })
    expect(steps.at(-1)).toMatchObject({
      outcome: 'failed',
      detail: expect.stringContaining('may sign dev.example.com, which is not among') as string,
    })
    clone.file(wants(fingerprint, ['example.com']))
    expect(shownSteps((await clone.up({ allow: 'trust' })).steps).at(-1)).toBe('trust: changed')
  })

  test.each(['none', 'free addresses'] as const)(
    'with %s of limits needs --allow with its fingerprint',
    async (constraints) => {
      const { clone, fingerprint } = await withRoot(constraints)
      clone.file(wants(fingerprint))
      const agreeing = await cloneOf(null, { answer: true })
      agreeing.write(
        'certs/team.pem',
        readFileSync(join(clone.directory, 'certs/team.pem'), 'utf8'),
      )
      agreeing.file(wants(fingerprint))
      for (const each of [clone, agreeing])
        for (const allow of ['run,permit,hosts', 'trust', `trust:${'0'.repeat(32)}`])
          expect(await each.up({ allow })).toMatchObject({ stopped: true })
      expect(agreeing.asked).toEqual([])
      expect(await held(clone, fingerprint)).toEqual([false, false])
      const { steps } = await clone.up({ allow: `trust:${fingerprint}` })
      expect(shownSteps(steps).at(-1)).toBe('trust: changed')
    },
  )

  test.skipIf(!openssl)(
    'with limits that are not critical, which clients may pass over, needs its fingerprint too',
    async () => {
      const clone = await cloneOf(null)
      const limits = 'permitted;DNS:test,permitted;IP:127.0.0.0/255.0.0.0'
      for (const [critical, isEnough] of [
        ['critical,', true],
        ['', false],
      ] as const) {
        const pem = execFileSync(
          'openssl',
          [
            ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-noenc'],
            ...['-keyout', '/dev/null', '-subj', '/CN=Team', '-days', '30'],
            ...['-addext', 'keyUsage=critical,keyCertSign'],
            ...['-addext', `nameConstraints=${critical}${limits}`],
          ],
          { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] },
        )
        clone.write('certs/team.pem', pem)
        const fingerprint = fingerprintOf(new X509Certificate(pem))
        clone.file(wants(fingerprint))
        const brought = await clone.up({ allow: 'trust' })
        expect(brought).toMatchObject({ stopped: !isEnough })
        expect(await held(clone, fingerprint)).toEqual([isEnough, isEnough])
        // `trust` says it in the same words.
        const why = 'its name constraints are not critical, so that clients may pass over them'
        for (const { text } of brought.unapproved)
          expect(text).toMatch(new RegExp(`may sign ANY name or address, .*: ${why}$`))
      }
    },
  )

  test('with a short beginning of a fingerprint is not named', async () => {
    const { clone, fingerprint } = await withRoot('none')
    clone.file(wants(fingerprint))
    expect(() => clone.up({ allow: `trust:${fingerprint.slice(0, 31)}` })).toThrow(
      'there is nothing to allow by',
    )
  })

  test.each([
    ['of another fingerprint', 'f'.repeat(64), /is another root than rootling\.json says/],
    ['that is gone', null, /There is no file/],
    ['that is a leaf', 'leaf', /is another root|not a CA|is no|signs/],
  ])('%s is not trusted', async (_title, fingerprint, why) => {
    const { clone, fingerprint: real } = await withRoot('local')
    clone.file({
      ...shop,
      ...wants(fingerprint === 'leaf' || fingerprint === null ? real : fingerprint),
    })
    if (fingerprint === null) clone.file({ trust: [{ root: 'gone.pem', fingerprint: real }] })
    if (fingerprint === 'leaf') clone.write('certs/team.pem', 'no certificate')
    const { steps } = await clone.up({ allow: 'trust' })
    expect(steps.find(({ code }) => code === 'trust')).toMatchObject({ outcome: 'failed' })
    if (fingerprint !== 'leaf')
      expect(steps.find(({ code }) => code === 'trust')?.detail).toMatch(why)
    expect(await held(clone, real)).toEqual([false, false])
    // It stopped nothing else.
    expect(steps.find(({ code }) => code === 'authority')?.outcome).toBe('changed')
  })

  test('of the own authority needs no approval', async () => {
    const clone = await cloneOf(shop)
    const { scope } = await ensureAuthority(clone.world.state, new Date())
    clone.write('certs/team.pem', scope.root.toString())
    clone.file({ ...shop, ...wants(anchorOf(scope).fingerprint) })
    const { steps } = await clone.up()
    expect(shownSteps(steps)).toContain('trust: unchanged')
  })

  test.skipIf(!isRoot)(
    'of the person is trusted under sudo too, and that of others is not',
    async () => {
      const { clone, fingerprint } = await withRoot('local')
      clone.file(wants(fingerprint))
      Object.assign(clone.world, {
        // The machine's stores are those of this process's user.
        env: { ...process.env },
        state: { ...clone.world.state, owner: { uid: 4321, gid: 4321 } },
      })
      vi.stubEnv('SUDO_UID', '4321')
      onTestFinished(() => void vi.unstubAllEnvs())
      const path = join(clone.directory, 'certs/team.pem')
      chownSync(path, 1234, 1234)
      const shownRoot = async () => {
        const { steps } = await clone.up({ planOnly: true })
        return steps.find(({ code }) => code === 'trust')
      }
      expect(await clone.up({ planOnly: true }).catch((error: unknown) => error)).toMatchObject({
        code: 'bad-project',
      })
      chownSync(path, 4321, 4321)
      expect(await shownRoot()).toMatchObject({ outcome: 'would-change' })
    },
  )

  test('is checked again when it is replaced after the approval', async () => {
    const { clone, fingerprint } = await withRoot('local')
    clone.file(wants(fingerprint))
    const other = await foreignRoot('none')
    await clone.up({
      allow: 'trust',
      onStep: ({ code }) => {
        if (code === 'trust') clone.write('certs/team.pem', other.pem)
      },
    })
    expect(await held(clone, other.fingerprint)).toEqual([false, false])
  })
})
