import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createAuthority, rootlingIn, type Rootling } from '../helpers/rootling.ts'
import { namespaceUnavailable, openNamespace, type Namespace } from '../helpers/namespace.ts'

const obstacle = namespaceUnavailable()
const skipNote = obstacle === null ? '' : ` [skipped: ${obstacle}]`
const name = 'alice@example.test-client'

describe.skipIf(obstacle !== null)(`rootling install-client${skipNote}`, () => {
  let namespace: Namespace
  let rootling: Rootling
  let chromium: string
  let firefox: string
  let passwordFile: string

  const file = (path: string) => join(namespace.home, path)

  beforeEach(async () => {
    namespace = await openNamespace()
    rootling = rootlingIn(namespace)
    await createAuthority(namespace)
    chromium = await makeDatabase('.pki/nssdb', '--empty-password')
    firefox = await makeDatabase('.mozilla/firefox/abc.default', '--empty-password')
    passwordFile = file('password.txt')
    await namespace.writeFile(passwordFile, 'correct horse\n')
    await issue('alice@example.test')
  })
  afterEach(() => namespace.close())

  async function makeDatabase(path: string, ...how: string[]): Promise<string> {
    await namespace.must('mkdir', ['-p', file(path)])
    await namespace.must('certutil', ['-N', '-d', `sql:${file(path)}`, ...how])
    return `sql:${file(path)}`
  }

  const issue = (...args: string[]) =>
    rootling.must(
      ['issue', '--client', '--pkcs12', '--password-file', passwordFile].concat(
        args.includes('--out-dir') ? [] : ['--out-dir', namespace.home],
        args,
      ),
    )

  const install = (path: string, ...args: string[]) =>
    rootling.json(['install-client', file(path), '--password-file', passwordFile, ...args])

  /** `NICKNAME FLAGS` of each certificate. */
  async function contents(database: string): Promise<string[]> {
    const { stdout } = await namespace.must('certutil', ['-L', '-d', database])
    const rows = stdout.split('\n').filter((line) => /,.*,/.test(line) && !line.includes('SSL,'))
    return rows.map((row) => row.trim().replace(/\s+(?=\S+$)/, ' '))
  }

  async function keys(database: string): Promise<string> {
    const { stdout, stderr } = await namespace.run('certutil', ['-K', '-d', database])
    return stdout + stderr
  }

  const outcomes = ({ stores = [] }: { stores?: readonly { outcome: string }[] }) =>
    stores.map(({ outcome }) => outcome)

  test('puts certificate and key where Chromium and Firefox look, and takes them out again', async () => {
    const installed = await install(`${name}.p12`)
    expect([installed.exitCode, outcomes(installed.answer)]).toEqual([
      0,
      ['installed', 'installed'],
    ])
    for (const database of [chromium, firefox]) {
      expect(await contents(database)).toContainEqual(expect.stringMatching(/ u,u,u$/))
      expect(await keys(database)).toMatch(/< 0> ec/)
      expect(await contents(database)).toHaveLength(2)
    }
    expect(outcomes((await install(`${name}.p12`)).answer)).toEqual([
      'already-installed',
      'already-installed',
    ])
    const removed = await rootling.json(['install-client', '--remove', file(`${name}.pem`)])
    expect([removed.exitCode, outcomes(removed.answer)]).toEqual([0, ['removed', 'removed']])
    for (const database of [chromium, firefox]) {
      expect(await contents(database)).toEqual([])
      expect(await keys(database)).toContain('no keys found')
    }
    const again = await install(`${name}.p12`, '--remove')
    expect(outcomes(again.answer)).toEqual(['was-absent', 'was-absent'])
  })

  test('finds the .p12 of a user and its password, which issue kept', async () => {
    const installed = await rootling.json(['install-client', 'alice@example.test'])
    expect([installed.exitCode, outcomes(installed.answer)]).toEqual([
      0,
      ['installed', 'installed'],
    ])
    expect(await keys(chromium)).toMatch(/< 0> ec/)
    const removed = await rootling.json(['install-client', '--remove', 'alice@example.test'])
    expect(outcomes(removed.answer)).toEqual(['removed', 'removed'])
    const unknown = await rootling.json(['install-client', 'bob@example.test'])
    expect([unknown.exitCode, unknown.answer.error?.code]).toEqual([2, 'file-unreadable'])
    await issue('alice@example.test', '--out-dir', file('more'))
    const several = await rootling.json(['install-client', 'alice@example.test'])
    expect([several.exitCode, several.answer.error?.message]).toEqual([
      2,
      expect.stringContaining(`${name}.p12, `),
    ])
    await namespace.must('rm', [file(`${name}.p12`), file(`more/${name}.p12`)])
    const none = await rootling.json(['install-client', 'alice@example.test'])
    expect([none.exitCode, none.answer.error?.message]).toEqual([
      2,
      'The client certificate of alice@example.test has no .p12 file.',
    ])
  })

  test('leaves nothing in the browsers once the CA is deleted, but what others put there', async () => {
    await install(`${name}.p12`)
    // The certificate that it replaced is in the browsers too.
    await rootling.must(['renew', '--all', '--rekey'])
    await issue('alice@example.test')
    await install(`${name}.p12`)
    const stranger = file('stranger.p12')
    await namespace.must('openssl', [
      ...['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=stranger'],
      ...['-keyout', file('s.key'), '-out', file('s.pem')],
    ])
    const pair = ['-inkey', file('s.key'), '-in', file('s.pem'), '-passout', 'pass:x']
    await namespace.must('openssl', ['pkcs12', '-export', ...pair, '-out', stranger])
    await namespace.must('pk12util', ['-i', stranger, '-d', firefox, '-W', 'x', '-K', ''])
    const planned = await rootling.must(['uninstall', '--delete-ca', '--dry-run'])
    expect(planned.stdout).toContain('certutil -F')
    const removed = await rootling.json(['uninstall', '--delete-ca', '--yes'])
    expect(removed).toMatchObject({ exitCode: 0, answer: { deleted: true } })
    expect(await contents(chromium)).toEqual([])
    expect(await keys(chromium)).toContain('no keys found')
    const left = (await contents(firefox)).filter((row) => row.endsWith(' u,u,u'))
    expect(left).toEqual([expect.stringContaining('stranger')])
  })

  test('names it, and leaves what is not its own', async () => {
    await issue('bob@example.test')
    await install('bob@example.test-client.p12', '--name', 'Bob at work')
    await install(`${name}.p12`, '--name', 'Alice at work')
    const both = await contents(chromium)
    expect(both).toEqual(expect.arrayContaining(['Bob at work u,u,u', 'Alice at work u,u,u']))
    await install(`${name}.p12`, '--remove')
    const left = await contents(chromium)
    expect(left).toContain('Bob at work u,u,u')
    expect(left).toHaveLength(both.length - 1)
    expect((await keys(chromium)).match(/^<\s*\d+>/gm)).toHaveLength(1)
  })

  test('keeps the renewed certificate of the same key when the old one goes', async () => {
    await install(`${name}.p12`)
    await namespace.must('cp', [file(`${name}.pem`), file('old.pem')])
    await rootling.must(['renew', '--all'])
    const make = [
      'pkcs12',
      '-export',
      '-in',
      file(`${name}.pem`),
      '-inkey',
      file(`${name}-key.pem`),
    ]
    const out = ['-out', file('new.p12'), '-name', name, '-passout', `file:${passwordFile}`]
    await namespace.must('openssl', [...make, ...out])
    expect(outcomes((await install('new.p12')).answer)).toEqual(['installed', 'installed'])
    const removed = await rootling.json(['install-client', '--remove', file('old.pem')])
    expect(outcomes(removed.answer)).toEqual(['removed', 'removed'])
    expect(outcomes((await install('new.p12')).answer)).toEqual([
      'already-installed',
      'already-installed',
    ])
    expect(await keys(chromium)).toMatch(/< 0> ec/)
  })

  test('shows the password to no other user', async () => {
    const spy = `#!/bin/sh
echo "$*" >> ${file('seen')}
for word; do
  if [ "$before" = -w ]; then stat -c '%a %u' "$word" "$(dirname "$word")" >> ${file('seen')}; fi
  before=$word
done
exec /usr/bin/pk12util "$@"`
    await namespace.writeFile(file('bin/pk12util'), spy)
    await namespace.must('chmod', ['0755', file('bin/pk12util')])
    // Root runs only root's programs from the system's directories.
    await namespace.must('cp', [file('bin/pk12util'), '/usr/local/share/pk12util'])
    await namespace.must('mount', ['--bind', '/usr/local/share', '/usr/local/bin'])
    expect((await install(`${name}.p12`)).exitCode).toBe(0)
    const seen = (await namespace.readFile(file('seen'))) ?? ''
    expect(seen).toMatch(/-i \S+ -w \S+/)
    expect(seen.match(/^600 0$/gm)?.length).toBeGreaterThanOrEqual(3)
    expect(seen.match(/^700 0$/gm)?.length).toBeGreaterThanOrEqual(3)
    expect(seen).not.toContain('correct horse')
    const { stdout } = await namespace.must('sh', ['-c', 'ls "$TMPDIR"'])
    expect(stdout).not.toContain('rootling-')
  })

  test('says what is wrong: the password, the file, a database that is locked', async () => {
    await namespace.writeFile(file('wrong.txt'), 'battery staple\n')
    const wrong = await rootling.json([
      'install-client',
      file(`${name}.p12`),
      '--password-file',
      file('wrong.txt'),
    ])
    expect(wrong.exitCode).toBe(1)
    expect(wrong.answer.error).toMatchObject({ code: 'bad-key' })
    expect(wrong.answer.error?.message).toMatch(/^The password does not open .*\.p12\.$/)
    await namespace.writeFile(file('not.p12'), 'nothing of the kind')
    expect((await install('not.p12')).answer.error?.code).toBe('bad-key')
    expect((await install(`${name}.pem`)).answer.error).toMatchObject({ code: 'usage' })
    // No password is kept for a copy.
    await namespace.must('cp', [file(`${name}.p12`), file('copy.p12')])
    const unasked = await rootling.json(['install-client', file('copy.p12')])
    expect([unasked.exitCode, unasked.answer.error?.hint]).toEqual([2, '--password-file FILE'])
    expect(await contents(chromium)).toEqual([])

    await namespace.writeFile(file('primary.txt'), 'a primary password\n')
    const locked = await makeDatabase('.mozilla/firefox/locked.default', '-f', file('primary.txt'))
    const { exitCode, answer } = await install(`${name}.p12`)
    expect(exitCode).toBe(3)
    expect(answer.stores).toContainEqual(
      expect.objectContaining({
        outcome: 'failed',
        reason: expect.stringMatching(/locked\.default\) is locked by a primary password\.$/),
      }),
    )
    expect(await contents(locked)).toEqual([])
  })

  test('dry runs change nothing, and show no password', async () => {
    const { exitCode, answer } = await install(`${name}.p12`, '--dry-run')
    expect(exitCode).toBe(0)
    const { commands } = answer as unknown as { commands: string[] }
    expect(commands).toHaveLength(2)
    expect(commands[0]).toMatch(/pk12util -i \S+\.p12 -d sql:\S+/)
    expect(await contents(chromium)).toEqual([])
  })
})
