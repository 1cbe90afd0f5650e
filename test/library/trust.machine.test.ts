import { describe, expect, test } from 'vitest'
import type { Diagnosis } from '../../src/library/diagnose.ts'
import type { TrustReport, TrustStatus } from '../../src/library/trust.ts'
import { namespaceUnavailable } from '../helpers/namespace.ts'
import { rootlingIn, storeTrees } from '../helpers/rootling.ts'
import { testNamespace } from '../helpers/test-namespace.ts'
import { notInstalled } from '../outside/e2e/client.ts'
import { libraryIn, libraryOfPerson } from './library-in.ts'

// The library on a machine of its own: what it says of the stores is what programs do.

const needed = ['sudo', 'useradd', 'runuser', 'certutil', 'chromium', 'update-ca-certificates']
const missing = await Promise.all([...needed, 'curl'].map(notInstalled))
const obstacle = namespaceUnavailable() ?? missing.find((reason) => reason !== null) ?? null
const skipNote = obstacle === null ? '' : ` [skipped: ${obstacle}]`

const outcomes = ({ stores }: Pick<TrustReport, 'stores'>): string[] =>
  [...new Set(stores.map(({ store, outcome }) => `${store.kind} ${outcome}`))].toSorted()

describe.skipIf(obstacle !== null)(`trust() and trustStatus()${skipNote}`, () => {
  test('make curl trust the authority, and say so until it is uninstalled', async () => {
    const namespace = await testNamespace()
    const { call } = libraryIn(namespace)
    const rootling = rootlingIn(namespace)
    const status = () => call<TrustStatus>('return rootling.trustStatus()')
    const before = await storeTrees(namespace)
    expect(await status()).toMatchObject({ isTrusted: false, scopes: [], stores: [], kinds: null })
    expect(await storeTrees(namespace)).toEqual(before)

    const trusted = await call<TrustReport>('return rootling.trust()')
    expect(trusted).toMatchObject({ isTrusted: true, created: true, kinds: null, stale: [] })
    expect(outcomes(trusted)).toEqual(expect.arrayContaining(['nss installed', 'system installed']))
    expect(outcomes(trusted).join()).not.toContain('failed')
    const after = await storeTrees(namespace)
    const said = await status()
    expect(said.isTrusted).toBe(true)
    expect(outcomes(said)).toEqual(expect.arrayContaining(['nss trusted', 'system trusted']))
    expect(said.scopes).toEqual(trusted.scopes)
    // What `rootling status --json` prints has the same shape.
    const { answer } = await rootling.json(['status'])
    expect(said).toMatchObject({
      home: answer.home,
      scopes: answer.scopes,
      stores: answer.stores,
    })
    expect(await call<TrustReport>('return rootling.trust()')).toMatchObject({
      isTrusted: true,
      created: false,
      scopes: trusted.scopes,
    })
    const diagnosis = await call<Diagnosis>('return rootling.diagnose()')
    const found = diagnosis.findings.filter(({ severity }) => severity !== 'note')
    expect(found).toEqual([])
    expect(await storeTrees(namespace)).toEqual(after)

    const server = await rootling.serve(['--port=0'])
    const visit = () => namespace.run('curl', ['-sS', server.url])
    expect(await visit()).toMatchObject({ exitCode: 0, stderr: '' })
    await rootling.must(['uninstall', '--yes'])
    expect((await visit()).exitCode).toBe(60)
    expect(await status()).toMatchObject({ isTrusted: false, scopes: trusted.scopes })
    server.close()
  })

  test('use the kinds of stores that are named, and remember them', async () => {
    const namespace = await testNamespace()
    const { call } = libraryIn(namespace)
    const trusted = await call<TrustReport>("return rootling.trust({ stores: ['system'] })")
    expect(trusted.kinds).toEqual(['system'])
    expect(outcomes(trusted)).toEqual(['system installed'])
    expect(await call('return rootling.trustStatus()')).toMatchObject({
      isTrusted: true,
      kinds: ['system'],
    })
    const all = "return rootling.trustStatus({ stores: ['system', 'nss', 'java'] })"
    expect(await call(all)).toMatchObject({ isTrusted: false })
  })

  test('diagnose() finds a root that was taken out of the system’s store', async () => {
    const namespace = await testNamespace()
    const { call } = libraryIn(namespace)
    await call("return rootling.trust({ stores: ['system'] })")
    const script = `rm /usr/local/share/ca-certificates/rootling-*
      update-ca-certificates --fresh --hooksdir /nowhere`
    await namespace.must('sh', ['-c', script])
    const { findings, checked } = await call<Diagnosis>(
      "return rootling.diagnose({ stores: ['system'] })",
    )
    expect(findings.filter(({ severity }) => severity === 'error')).toEqual([
      {
        code: 'not-installed',
        subject: expect.any(String),
        severity: 'error',
        sentence: expect.stringMatching(/^No trust store trusts the authority in /),
        remedy: 'rootling install',
        command: 'rootling install',
        safe: true,
      },
    ])
    expect(checked.map(({ check }) => check)).toContain('trust stores')
    // What doctor prints is the same.
    const printed = await rootlingIn(namespace).run(['doctor', '--json', '--stores', 'system'])
    expect(JSON.parse(printed.stdout)).toMatchObject({ findings, checked })
  })
})

describe.skipIf(obstacle !== null)(`trust() of a person who is not root${skipNote}`, () => {
  const noPassword = 'ALL=(ALL) NOPASSWD: ALL'

  test('leaves out what needs root, and says what to type', async () => {
    const namespace = await testNamespace()
    const { call, home } = await libraryOfPerson(namespace, noPassword)
    const trusted = await call<TrustReport>('return rootling.trust()')
    expect(trusted).toMatchObject({ isTrusted: false, created: true })
    expect(outcomes(trusted)).toEqual(expect.arrayContaining(['nss installed', 'system failed']))
    const failed = trusted.stores.filter(({ outcome }) => outcome === 'failed')
    for (const { reason, hint } of failed) {
      expect(reason).toMatch(/needs root, and sudo was not allowed\.$/)
      expect(hint).toBe('rootling install')
    }
    const anchors = await namespace.readTree('/usr/local/share/ca-certificates')
    expect(Object.keys(anchors).join()).not.toContain('rootling')
    expect(await call('return rootling.trustStatus()')).toMatchObject({ isTrusted: false })
    const elsewhere = await call<TrustReport>(
      `return rootling.trust({ home: ${JSON.stringify(`${home}/other state`)} })`,
    )
    expect(elsewhere.stores.find(({ outcome }) => outcome === 'failed')?.hint).toBe(
      `ROOTLING_HOME='${home}/other state' rootling install`,
    )
  })

  test('uses sudo where it is allowed and asks nothing', async () => {
    const namespace = await testNamespace()
    const { call } = await libraryOfPerson(namespace, noPassword)
    const trusted = await call<TrustReport>('return rootling.trust({ sudo: true })')
    expect(outcomes(trusted).join()).not.toContain('failed')
    expect(await call('return rootling.trustStatus()')).toMatchObject({ isTrusted: true })
  })

  test.each([
    ['asks for a password', 'ALL=(ALL) ALL'],
    ['does not let them in', null],
  ])('never waits where sudo %s', async (_title, rule) => {
    const namespace = await testNamespace()
    const { call } = await libraryOfPerson(namespace, rule)
    const trusted = await call<TrustReport>('return rootling.trust({ sudo: true })')
    expect(trusted.stores.find(({ store }) => store.kind === 'system')).toMatchObject({
      outcome: 'failed',
      reason: expect.stringMatching(/needs root, and sudo would ask for a password/),
      hint: 'rootling install',
    })
    expect(outcomes(trusted)).toContain('nss installed')
  })
})
