import { X509Certificate } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { notInstalled } from '../outside/e2e/client.ts'
import { createAuthority, rootlingIn } from '../helpers/rootling.ts'
import { namespaceUnavailable, openNamespace } from '../helpers/namespace.ts'
import { openHome } from '../helpers/home.ts'

const noKeytool = await notInstalled('keytool')

test('ca path names a file that curl takes, and ca show explains it', async () => {
  const { rootling, json, run, createAuthority: create, serve } = openHome()
  await create()
  const { stdout } = await rootling(['ca', 'path'])
  const path = stdout.trim()
  expect(new X509Certificate(readFileSync(path)).subject).toMatch(/CN=Rootling root [0-9a-f]{8}/)
  const { url } = await serve()
  const curl = (...args: string[]) => run('curl', ['-sS', '-o', '/dev/null', ...args, url])
  expect(await curl('--cacert', path)).toMatchObject({ exitCode: 0 })
  expect(await curl()).toMatchObject({ exitCode: 60 })
  expect((await rootling(['ca', 'show'])).stdout).toMatch(
    /^A root: an authority that signed itself/,
  )
  expect((await json(['ca', 'show', 'local'])).value).toMatchObject({
    certificates: [{ role: 'root', ca: true, selfSigned: true }],
  })
  for (const verb of ['path', 'show', 'export']) {
    const refused = await rootling(['ca', verb, 'locla'])
    expect([refused.exitCode, refused.stdout, refused.stderr]).toEqual([
      2,
      '',
      'Error: There is no scope named locla.\n  → Did you mean local?\n',
    ])
  }
})

test('ca export writes a root in every form, and replaces a file only when told to', async () => {
  const { rootling, run, createAuthority: create, directory } = openHome()
  const pem = readFileSync(await create(), 'utf8')
  const root = new X509Certificate(pem)
  expect((await rootling(['ca', 'export'])).stdout.trim()).toBe(pem.trim())
  const at = (name: string): string => join(directory, name)
  const exported = async (format: string, ...more: string[]) =>
    rootling(['ca', 'export', '--format', format, '--out', `root.${format}`, ...more])
  for (const format of ['pem', 'der', 'pkcs12']) {
    expect(await exported(format)).toMatchObject({
      exitCode: 0,
      stdout: `${at(`root.${format}`)}\n`,
    })
    writeFileSync(at(`root.${format}`), 'mine')
    const again = await exported(format)
    expect([again.exitCode, again.stderr]).toEqual([1, expect.stringContaining('add --force')])
    expect(readFileSync(at(`root.${format}`), 'utf8')).toBe('mine')
    expect(await exported(format, '--force')).toMatchObject({ exitCode: 0 })
  }
  for (const format of ['pem', 'der'])
    expect(new X509Certificate(readFileSync(at(`root.${format}`))).raw).toEqual(root.raw)
  const shown = await run('openssl', [
    ...['pkcs12', '-in', 'root.pkcs12', '-passin', 'pass:changeit', '-nokeys'],
  ])
  expect(shown.stdout).toContain(pem.trim())
  const binary = await rootling(['ca', 'export', '--format', 'der'])
  expect([binary.exitCode, binary.stdout]).toEqual([2, ''])
})

test.skipIf(noKeytool !== null)(
  `keytool reads the trust stores of ca export${noKeytool === null ? '' : ` [skipped: ${noKeytool}]`}`,
  async () => {
    const { rootling, run, createAuthority: create } = openHome()
    const root = new X509Certificate(readFileSync(await create()))
    for (const format of ['jks', 'pkcs12']) {
      const args = ['ca', 'export', '--format', format, '--out', 'trust']
      expect(await rootling([...args, '--force'])).toMatchObject({ exitCode: 0 })
      const store = ['-keystore', 'trust', '-storepass', 'changeit']
      const listed = await run('keytool', ['-list', ...store])
      expect(listed.stdout).toContain('Your keystore contains 1 entry')
      expect(listed.stdout).toContain('trustedCertEntry')
      expect(listed.stdout).toContain(root.fingerprint256)
      expect((await rootling(args)).exitCode).toBe(1)
    }
  },
)

test.skipIf(noKeytool !== null)(
  `a keytool that fails leaves the file that was there${noKeytool === null ? '' : ` [skipped: ${noKeytool}]`}`,
  async () => {
    const { rootling, createAuthority: create, directory } = openHome()
    await create()
    // There is room for this name, and none for the temporary one beside it.
    const name = 'x'.repeat(250)
    writeFileSync(join(directory, name), 'mine')
    const before = readdirSync(directory)
    const args = ['ca', 'export', '--format', 'jks', '--out', name, '--force']
    const failed = await rootling(args)
    expect([failed.exitCode, failed.stderr]).toEqual([1, expect.stringContaining('keytool')])
    expect(readFileSync(join(directory, name), 'utf8')).toBe('mine')
    expect(readdirSync(directory)).toEqual(before)
  },
)

test.each(['Work', '../x', '', '-a', 'a'.repeat(32)])(
  '--ca %j names no authority',
  async (name) => {
    const { rootling } = openHome()
    const { exitCode, stderr } = await rootling(['list', `--ca=${name}`])
    expect([exitCode, stderr]).toEqual([2, expect.stringContaining('--ca work')])
  },
)

const reason = namespaceUnavailable()
test.skipIf(reason !== null)(
  `several authorities stand side by side${reason ? ` [skipped: ${reason}]` : ''}`,
  async () => {
    const namespace = await openNamespace()
    try {
      const rootling = rootlingIn(namespace)
      const system = ['--stores', 'system']
      await createAuthority(namespace)
      const absent = await rootling.json(['issue', 'a.test', '--ca', 'work'])
      expect([absent.exitCode, absent.answer.error]).toEqual([
        1,
        expect.objectContaining({ code: 'no-authority', hint: 'rootling install --ca work' }),
      ])
      const work = (await rootling.json(['install', '--ca', 'work', '--yes', ...system])).answer
      const own = (await rootling.json(['install', '--yes', ...system])).answer
      const subjects = [own, work].map(({ scopes }) => String(scopes?.[0]?.subject))
      expect(subjects[0]).toMatch(/^Rootling root [0-9a-f]{8}$/)
      expect(subjects[1]).toMatch(/^Rootling root work [0-9a-f]{8}$/)

      const issue = ['issue', 'a.test', '--out-dir', join(namespace.home, 'certificates')]
      expect((await rootling.json([...issue, '--ca', 'work'])).exitCode).toBe(0)
      const names = async (...args: string[]) =>
        (await rootling.json(['list', ...args])).answer.certificates?.flatMap(
          ({ names: own }) => own,
        )
      expect(await names('--ca', 'work')).toEqual(['a.test'])
      expect(await names()).not.toContain('a.test')
      // The file is another authority's: not replaced without a word.
      expect((await rootling.json(issue)).answer.error?.code).toBe('not-ours')

      const removed = await rootling.json(['ca', 'delete', '--ca', 'work', '--yes'])
      expect([removed.exitCode, removed.answer.deleted]).toEqual([0, true])
      const status = (await rootling.json(['status', ...system])).answer
      expect(status.stores?.map(({ outcome }) => outcome)).toEqual(['trusted'])
      expect((await rootling.json(['list', '--ca', 'work'])).answer.certificates).toEqual([])
    } finally {
      await namespace.close()
    }
  },
)

test.skipIf(reason !== null)(
  `ca delete leaves and names what is not its own${reason ? ` [skipped: ${reason}]` : ''}`,
  async () => {
    const namespace = await openNamespace()
    try {
      const rootling = rootlingIn(namespace)
      const env = { ROOTLING_HOME: namespace.home }
      const at = (name: string): string => join(namespace.home, name)
      const system = ['--stores', 'system']
      await rootling.must(['install', '--yes', ...system], { env })
      await rootling.must(['install', '--ca', 'work', '--yes', ...system], { env })
      await rootling.must(['daemon', 'start', '--acme-port=0', '--revocation-port=0'], { env })
      await namespace.writeFile(at('src/thesis.txt'), 'precious')
      await namespace.must('ln', ['-s', at('src/thesis.txt'), at('daemon.log.1')])
      const command = `ROOTLING_HOME=${namespace.home} rootling ca delete --ca work`
      const removed = await rootling.json(['ca', 'delete', '--yes', ...system], { env })
      const own = ['daemon.log.1', 'src'].map(at)
      expect([removed.exitCode, removed.answer]).toMatchObject([
        0,
        {
          deleted: true,
          left: [...own, namespace.home],
          authorities: [{ name: 'work', path: at('authorities/work'), deleted: false, command }],
          warnings: [
            `The authority work in ${at('authorities/work')} was left, and its roots may still be trusted. To delete it: ${command}`,
          ],
        },
      ])
      expect(await namespace.readFile(at('src/thesis.txt'))).toBe('precious')
      const { stdout } = await namespace.must('ls', ['-A', namespace.home])
      expect(stdout.trim().split('\n').toSorted()).toEqual(['authorities', 'daemon.log.1', 'src'])
      const again = await rootling.json(['ca', 'delete', '--yes', ...system], { env })
      expect(again.answer).toMatchObject({ deleted: false, left: [] })
      const status = await rootling.json(['status', '--ca', 'work', ...system], { env })
      expect(status.answer.stores?.map(({ outcome }) => outcome)).toEqual(['trusted'])
      const last = ['ca', 'delete', '--ca', 'work', '--yes', ...system]
      expect((await rootling.json(last, { env })).answer).toMatchObject({ deleted: true, left: [] })
      expect(await namespace.readFile(at('authorities'))).toBe(null)
    } finally {
      await namespace.close()
    }
  },
)

test('ca delete without a terminal and without --yes leaves everything when a store fails', async () => {
  const { rootling, createAuthority: create, directory } = openHome()
  await create()
  const dry = await rootling(['ca', 'delete', '--dry-run', '--stores', 'java'])
  expect(dry.exitCode).toBe(0)
  expect(existsSync(join(directory, 'state/scopes/local/root.pem'))).toBe(true)
})
