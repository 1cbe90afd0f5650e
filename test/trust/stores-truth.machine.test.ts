import { describe, expect, test } from 'vitest'
import { namespaceUnavailable } from '../helpers/namespace.ts'
import { rootlingIn, summary, type Answer } from '../helpers/rootling.ts'
import { findRoot } from '../helpers/store-contents.ts'
import { testNamespace } from '../helpers/test-namespace.ts'
import { notInstalled } from '../outside/e2e/client.ts'

// What install, uninstall and status say of a machine that is hindered in some way, against what is
// in its stores.

const missing = await Promise.all(['update-ca-certificates', 'certutil'].map(notInstalled))
const obstacle = namespaceUnavailable() ?? missing.find((reason) => reason !== null) ?? null
const skipNote = obstacle === null ? '' : ` [skipped: ${obstacle}]`

const hooks = '/etc/ca-certificates/update.d'
const bundle = '/etc/ssl/certs/ca-certificates.crt'
const onlySystem = ['--stores', 'system'] as const

async function openMachine() {
  const namespace = await testNamespace()
  const addHook = async (name: string, text: string): Promise<void> => {
    await namespace.writeFile(`${hooks}/${name}`, text)
    await namespace.must('chmod', ['755', `${hooks}/${name}`])
  }
  const freeze = async (directory: string): Promise<void> => {
    await namespace.must('mount', ['--bind', directory, directory])
    await namespace.must('mount', ['-o', 'remount,ro,bind', directory])
  }
  const rootsOf = async ({ scopes = [] }: Answer): Promise<string[]> => {
    const texts = await Promise.all(scopes.map(({ rootPath }) => namespace.readFile(rootPath)))
    return texts.map((text) => text ?? '')
  }
  return { namespace, rootling: rootlingIn(namespace), addHook, freeze, rootsOf }
}

describe.skipIf(obstacle !== null)(`the stores of a hindered machine${skipNote}`, () => {
  test('on a read-only disk are asked, and keep the authority that they trust', async () => {
    const { namespace, rootling, freeze, rootsOf } = await openMachine()
    const installed = await rootling.json(['install', '--yes', '--stores', 'system,nss'])
    expect(installed.exitCode, installed.stderr).toBe(0)
    const kinds = summary(installed.answer).map((each) => each.split(' ')[0])
    const database = `${namespace.home}/.local/share/pki/nssdb`
    for (const directory of ['/usr/local', '/etc/firefox', database])
      if (Object.keys(await namespace.readTree(directory)).length > 0) await freeze(directory)
    const status = await rootling.json(['status', '--stores', 'system,nss'])
    expect(summary(status.answer)).toEqual(kinds.map((kind) => `${kind} trusted`))
    expect(status.exitCode).toBe(0)

    const line = ['uninstall', '--yes', '--delete-ca', '--stores', 'system,nss']
    const removal = await rootling.json(line)
    expect(removal.exitCode).toBe(3)
    expect(removal.answer).toMatchObject({ ok: true, deleted: false })
    const failed = removal.answer.stores?.filter(({ outcome }) => outcome === 'failed') ?? []
    expect(failed).toHaveLength(removal.answer.stores?.length ?? 0)
    expect(failed.find(({ store }) => store.kind === 'system')).toMatchObject({
      reason:
        'It holds the root, and cannot be changed. /usr/local/share/ca-certificates is on a read-only file system.',
      hint: expect.stringMatching(/^Take the root out of .* update-ca-certificates --fresh there$/),
    })
    const [root = ''] = await rootsOf(installed.answer)
    expect(await findRoot(namespace, root)).toContain(bundle)
  })

  test('name the roots of a lost authority, and the command that takes them out', async () => {
    const { namespace, rootling, rootsOf } = await openMachine()
    const line = ['--stores', 'system,nss'] as const
    const first = await rootling.json(['install', '--yes', ...line])
    const [root = ''] = await rootsOf(first.answer)
    const fingerprint = first.answer.scopes?.[0]?.fingerprint ?? ''
    await namespace.must('rm', ['-rf', `${namespace.home}/.local/share/rootling`])
    const told = new RegExp(
      `^rootling-${fingerprint.slice(0, 8)} .* is still trusted by System store .*Chromium.*: rootling untrust ${fingerprint}$`,
      'm',
    )
    const status = await rootling.run(['status', ...line])
    expect([status.exitCode, status.stderr]).toEqual([1, expect.stringMatching(told)])
    expect(status.stderr).toContain('Error: There is no certificate authority yet.')
    const again = await rootling.run(['install', '--yes', ...line])
    expect([again.exitCode, again.stderr]).toEqual([0, expect.stringMatching(told)])
    const { answer } = await rootling.json(['status', ...line])
    expect(answer).toMatchObject({
      stale: [
        { fingerprint, trustedBy: expect.arrayContaining([expect.stringMatching('System')]) },
      ],
    })
    await rootling.must(['untrust', fingerprint])
    expect(await findRoot(namespace, root)).toEqual([])
    const after = await rootling.json(['status', ...line])
    expect([after.exitCode, after.answer]).toMatchObject([0, { stale: [] }])
  })

  test('that install cannot change are told with what can, and not sent to install', async () => {
    const { namespace, rootling, freeze } = await openMachine()
    const [chromium, locked] = ['.local/share/pki/nssdb', '.mozilla/firefox/locked'].map(
      (inner) => `${namespace.home}/${inner}`,
    ) as [string, string]
    await namespace.writeFile('/etc/password', 'a primary password\n')
    for (const [directory, ...password] of [
      [chromium, '--empty-password'],
      [locked, '-f', '/etc/password'],
    ] as const) {
      await namespace.must('mkdir', ['-p', directory])
      await namespace.must('certutil', ['-N', '-d', `sql:${directory}`, ...password])
    }
    await rootling.must(['install', '--yes', '--stores', 'none'])
    await freeze(chromium)
    const line = ['--stores', 'nss'] as const
    const outcomeIn = ({ stores = [] }: Answer, directory: string) =>
      stores.find(({ store }) => store.id === `nss:${directory}`)
    const status = await rootling.json(['status', ...line])
    const [read, asked] = [chromium, locked].map((each) => outcomeIn(status.answer, each))
    expect(read).toMatchObject({
      outcome: 'not-trusted',
      reason: expect.stringMatching(/is on a read-only file system\.$/),
      hint: expect.stringMatching(/^sudo mount -o remount,rw .*, then: rootling install$/),
    })
    expect(asked).toMatchObject({
      outcome: 'not-trusted',
      reason: expect.stringMatching(/is locked by a primary password\.$/),
      hint: expect.stringMatching(/^certutil asks for that password: certutil -A .*root\.pem$/),
    })
    const failed = await rootling.json(['install', '--yes', ...line])
    for (const [directory, { hint, reason } = {}] of [
      [chromium, read],
      [locked, asked],
    ] as const)
      expect(outcomeIn(failed.answer, directory)).toMatchObject({ outcome: 'failed', hint, reason })
    // What install can change is trusted now.
    expect((await rootling.run(['status', ...line])).stderr).not.toContain('To fix it')

    const [mount = ''] = (read?.hint ?? '').replace('sudo ', '').split(', then')
    const certutil = (asked?.hint ?? '').split('password: ')[1] ?? ''
    await namespace.must('sh', ['-c', `${mount}; ${certutil} -f /etc/password`])
    await rootling.must(['install', '--yes', '--stores', 'nss'])
    const mended = await rootling.json(['status', ...line])
    expect(mended.exitCode).toBe(0)
  })

  test('change by one refresh, whatever hooks of strangers do', async () => {
    const { namespace, rootling, addHook, rootsOf } = await openMachine()
    await addHook('aa-gone', '#!/opt/gone/bin/python\n')
    await addHook('bb-count', '#!/bin/sh\n(echo run; cat) >> /etc/told\n')
    const told = async (): Promise<string[]> =>
      ((await namespace.readFile('/etc/told')) ?? '').split('\n')
    await rootling.must(['install', '--yes', ...onlySystem])
    const line = [
      'install',
      '--yes',
      ...onlySystem,
      '--permit',
      'dev.example.com',
      '--name',
      'work',
    ]
    const installed = await rootling.json(line)
    expect(installed.exitCode, installed.stderr).toBe(0)
    expect(summary(installed.answer)).toEqual(['system already-installed', 'system installed'])
    expect((await told()).filter((each) => each === 'run')).toHaveLength(2)

    await namespace.must('rm', ['/etc/told'])
    const removed = await rootling.json(['uninstall', '--yes', ...onlySystem])
    expect(removed.exitCode, removed.stderr).toBe(0)
    expect(summary(removed.answer)).toEqual(['system removed'])
    expect(removed.answer.stores).toHaveLength(2)
    // The refresh itself, and the removal that --fresh does not tell.
    expect((await told()).filter((each) => each === 'run')).toHaveLength(2)
    expect((await told()).filter((each) => /^-.*\/rootling-.*\.pem$/.test(each))).toHaveLength(2)

    await namespace.must('rm', ['/etc/told'])
    const both = await rootling.json(['install', '--yes', ...onlySystem])
    expect(summary(both.answer)).toEqual(['system installed'])
    expect(both.answer.stores).toHaveLength(2)
    expect((await told()).filter((each) => each === 'run')).toHaveLength(1)
    const status = await rootling.json(['status', ...onlySystem])
    expect(status.exitCode).toBe(0)
    const roots = await rootsOf(both.answer)
    await rootling.must(['uninstall', '--yes', '--delete-ca', ...onlySystem])
    for (const root of roots) expect(await findRoot(namespace, root)).toEqual([])
  })

  test('are waited for while a hook takes more than a minute, and the wait is told', async () => {
    const { rootling, addHook } = await openMachine()
    await addHook('slow', '#!/bin/sh\ncat > /dev/null\nsleep 65\n')
    const { exitCode, stdout, stderr } = await rootling.run(['install', '--yes', ...onlySystem])
    expect(exitCode, stderr).toBe(0)
    expect(stdout).toContain('installed')
    expect(stderr).toContain('Waiting for update-ca-certificates (60 s)…')
  })

  test('are installed into while a package manager refreshes them too', async () => {
    const { namespace, rootling } = await openMachine()
    const script =
      'while [ -e /etc/busy ]; do update-ca-certificates > /dev/null 2>&1; sleep 1; done'
    await namespace.writeFile('/etc/busy', '')
    const other = namespace.spawn('sh', ['-c', script])
    const { exitCode, answer, stderr } = await rootling.json(['install', '--yes', ...onlySystem])
    await namespace.must('rm', ['/etc/busy'])
    other.kill()
    expect(summary(answer), stderr).toEqual(['system installed'])
    expect(exitCode).toBe(0)
  })

  test('take the roots of two homes at once', async () => {
    const { namespace, rootling } = await openMachine()
    const policies = '/etc/firefox/policies/policies.json'
    await namespace.writeFile(policies, '{"policies":{"DisableTelemetry":true}}\n')
    const homes = ['one', 'two', 'three'].map((name) => `${namespace.home}/${name}`)
    await namespace.must('mkdir', homes)
    const answers = await Promise.all(
      homes.map((home) =>
        rootling.json(['install', '--yes', '--stores', 'nss'], {
          env: { HOME: home, ROOTLING_HOME: `${home}/rootling` },
        }),
      ),
    )
    expect(answers.map(({ exitCode }) => exitCode)).toEqual([0, 0, 0])
    const text = (await namespace.readFile(policies)) ?? ''
    expect(text.match(/rootling-[0-9a-f]{8}\.crt/g)).toHaveLength(3)
  })
})
