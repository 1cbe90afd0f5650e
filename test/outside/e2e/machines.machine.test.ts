import { describe, expect, test } from 'vitest'
import { namespaceUnavailable } from '../../helpers/namespace.ts'
import type { Namespace } from '../../helpers/namespace.ts'
import { testNamespace } from '../../helpers/test-namespace.ts'
import { findRoot } from '../../helpers/store-contents.ts'
import { notInstalled } from './client.ts'
import { rootlingIn, storeTrees, summary } from '../../helpers/rootling.ts'
import type { Answer, Rootling } from '../../helpers/rootling.ts'

// What install and uninstall leave on machines of several kinds, each a namespace of its own.

const needed = ['certutil', 'chromium', 'firefox-esr', 'update-ca-certificates']
const missing = await Promise.all(needed.map(notInstalled))
const obstacle = namespaceUnavailable() ?? missing.find((reason) => reason !== null) ?? null
const skipNote = obstacle === null ? '' : ` [skipped: ${obstacle}]`

const legacy = '.pki/nssdb'
const modern = '.local/share/pki/nssdb'
const policies = '/etc/firefox/policies/policies.json'

async function openMachine(): Promise<{ namespace: Namespace; rootling: Rootling }> {
  const namespace = await testNamespace()
  return { namespace, rootling: rootlingIn(namespace) }
}

async function rootOf(namespace: Namespace, { scopes = [] }: Answer): Promise<string> {
  return (await namespace.readFile(scopes[0]?.rootPath ?? '')) ?? ''
}

const storesThat = ({ stores = [] }: Answer, outcome: string) =>
  stores.filter((row) => row.outcome === outcome)

/** Makes certutil as absent as it can be without touching the machine: no program of that name. */
const hideCertutil = (namespace: Namespace) =>
  namespace.must('mount', ['--bind', '/dev/null', '/usr/bin/certutil'])

/** A profile that profiles.ini names, with a database that certutil made. */
async function addProfile(namespace: Namespace, name: string): Promise<string> {
  const root = `${namespace.home}/.config/mozilla/firefox`
  const directory = `${root}/${name}`
  await namespace.must('mkdir', ['-p', directory])
  await namespace.must('certutil', ['-N', '--empty-password', '-d', `sql:${directory}`])
  const ini = (await namespace.readFile(`${root}/profiles.ini`)) ?? ''
  const number = ini.match(/^\[Profile/gm)?.length ?? 0
  const section = `[Profile${number}]\nName=${name}\nIsRelative=1\nPath=${name}\n\n`
  await namespace.writeFile(`${root}/profiles.ini`, ini + section)
  return directory
}

describe.skipIf(obstacle !== null)(`install${skipNote}`, () => {
  test('creates the authority, and databases for browsers that never ran', async () => {
    const { namespace, rootling } = await openMachine()
    const { exitCode, answer } = await rootling.json(['install', '--yes'])
    expect(exitCode).toBe(0)
    expect(answer).toMatchObject({ ok: true, created: true, scopes: [{ name: 'local' }] })
    const places = await findRoot(namespace, await rootOf(namespace, answer))
    expect(places).toContain(`nss:${namespace.home}/${modern}`)
    expect(places.join('\n')).toMatch(/^\/etc\/firefox\/policies\/rootling-[0-9a-f]{8}\.crt$/m)
    expect(await namespace.readTree(`${namespace.home}/.pki`)).toEqual({})
    expect(await namespace.readTree(`${namespace.home}/.mozilla`)).toEqual({})

    expect((await rootling.json(['uninstall', '--delete-ca', '--yes'])).exitCode).toBe(0)
    const left = await namespace.must('find', [namespace.home, '-not', '-type', 'd'])
    expect(left.stdout).toBe('')
  })

  test('uses ~/.pki/nssdb where it exists, and makes no second database', async () => {
    const { namespace, rootling } = await openMachine()
    const database = `${namespace.home}/${legacy}`
    await namespace.must('mkdir', ['-p', database])
    await namespace.must('certutil', ['-N', '--empty-password', '-d', `sql:${database}`])
    const { exitCode, answer } = await rootling.json(['install', '--yes', '--stores', 'nss'])
    expect(exitCode).toBe(0)
    const root = await rootOf(namespace, answer)
    expect(await findRoot(namespace, root)).toContain(`nss:${database}`)
    expect(await namespace.readTree(`${namespace.home}/${modern}`)).toEqual({})

    expect((await rootling.json(['uninstall', '--delete-ca', '--yes'])).exitCode).toBe(0)
    expect(await findRoot(namespace, root)).toEqual([])
    expect(await namespace.readTree(database)).toHaveProperty(`${database}/cert9.db`)
  })

  test('merges into the user’s own Firefox policies and restores them', async () => {
    const { namespace, rootling } = await openMachine()
    const own = {
      policies: { DisableTelemetry: true, Certificates: { Install: ['/etc/ssl/company.crt'] } },
    }
    const formatted = `${JSON.stringify(own, null, 4)}\n`
    await namespace.writeFile(policies, formatted)
    const install = await rootling.json(['install', '--yes', '--stores', 'nss'])
    expect(install.exitCode).toBe(0)
    const merged = JSON.parse((await namespace.readFile(policies)) ?? '')
    expect(merged).toEqual({
      policies: {
        DisableTelemetry: true,
        Certificates: {
          Install: [expect.stringMatching(/\/rootling-[0-9a-f]{8}\.crt$/), '/etc/ssl/company.crt'],
        },
      },
    })
    expect((await rootling.json(['uninstall', '--yes'])).exitCode).toBe(0)
    expect(await namespace.readFile(policies)).toBe(formatted)
  })

  test('leaves Firefox policies that are no JSON alone, and fails there only', async () => {
    const { namespace, rootling } = await openMachine()
    await namespace.writeFile(policies, '{ "policies": ')
    const { exitCode, answer } = await rootling.json(['install', '--yes', '--stores', 'nss'])
    expect(exitCode).toBe(3)
    expect(storesThat(answer, 'failed').map(({ store }) => store.id)).toEqual([
      'firefox-policies:/etc/firefox/policies',
    ])
    expect(storesThat(answer, 'installed').map(({ store }) => store.kind)).toEqual(['nss'])
    expect(await namespace.readFile(policies)).toBe('{ "policies": ')
  })

  test('a corrupt Firefox profile fails alone, whatever the others do', async () => {
    const { namespace, rootling } = await openMachine()
    const sound = await addProfile(namespace, 'a.sound')
    const broken = await addProfile(namespace, 'b.broken')
    const later = await addProfile(namespace, 'c.sound')
    await namespace.writeFile(`${broken}/cert9.db`, 'this is no database, whatever its name')
    const { exitCode, answer } = await rootling.json(['install', '--yes'])
    expect(exitCode).toBe(3)
    expect(storesThat(answer, 'failed').map(({ store }) => store.id)).toEqual([`nss:${broken}`])
    const installed = storesThat(answer, 'installed').map(({ store }) => store.id)
    expect(installed).toEqual(expect.arrayContaining([`nss:${sound}`, `nss:${later}`]))
    expect(summary(answer)).toContain('system installed')
    const human = await rootling.run(['status'])
    expect(human.exitCode).toBe(4)
    expect(human.stdout).toContain('b.broken')
  })

  test('without certutil the browsers fail by name, and with --yes the package manager installs it', async () => {
    const { namespace, rootling } = await openMachine()
    await hideCertutil(namespace)
    const { exitCode, answer } = await rootling.json(['install'])
    expect(exitCode).toBe(3)
    expect(answer.ok).toBe(true)
    const failed = storesThat(answer, 'failed')
    expect(failed.map(({ store }) => store.kind)).toEqual(['nss'])
    expect(failed[0]).toMatchObject({
      reason: expect.stringContaining('certutil'),
      hint: expect.stringContaining('libnss3-tools'),
      tool: { program: 'certutil', install: expect.arrayContaining(['libnss3-tools']) },
    })
    expect(summary(answer)).toContain('system installed')
    const human = await rootling.run(['install'])
    expect(human.exitCode).toBe(3)
    expect(human.stdout).toMatch(/FAILED: .*certutil[^]*libnss3-tools/)

    // Stands in for apt-get, which needs a network: it notes its arguments and certutil is there.
    const apt = `${namespace.home}/apt-get`
    await namespace.writeFile(apt, '#!/bin/sh\necho "$*" >> /etc/asked\numount /usr/bin/certutil\n')
    await namespace.must('chmod', ['755', apt])
    await namespace.must('mount', ['--bind', apt, '/usr/bin/apt-get'])
    const again = await rootling.json(['install', '--yes'])
    expect(storesThat(again.answer, 'failed')).toEqual([])
    expect(again.exitCode).toBe(0)
    const asked = await namespace.readFile('/etc/asked')
    expect(asked).toBe('install -y --no-install-recommends libnss3-tools\n')
    const root = await rootOf(namespace, again.answer)
    expect(await findRoot(namespace, root)).toContain(`nss:${namespace.home}/${modern}`)
  })

  test('writes only the stores that --stores names, and uninstall finds roots by their name when the state directory is gone', async () => {
    const { namespace, rootling } = await openMachine()
    const { exitCode, answer } = await rootling.json(['install', '--yes', '--stores', 'system'])
    expect(exitCode).toBe(0)
    expect(summary(answer)).toEqual(['system installed'])
    expect(await namespace.readTree(`${namespace.home}/${modern}`)).toEqual({})
    expect(await namespace.readTree('/etc/firefox')).toEqual({})

    const bogus = await rootling.json(['install', '--yes', '--stores', 'bogus'])
    expect(bogus.exitCode).toBe(2)
    expect(bogus.answer.error).toMatchObject({ code: 'usage', hint: '--stores system,nss,java' })

    // The other stores now, and then uninstall has only the names of roots to find them by.
    const kept = await rootling.json(['install', '--yes'])
    expect(summary(kept.answer)).toEqual(['system already-installed'])
    await rootling.json(['install', '--yes', '--stores', 'system,nss,java'])
    await uninstallByName(namespace, rootling, await rootOf(namespace, answer))
  })

  test('a dry run prints commands that a shell takes, and changes nothing', async () => {
    const { namespace, rootling } = await openMachine()
    const before = await storeTrees(namespace)
    const { exitCode, stdout } = await rootling.run(['install', '--dry-run'])
    expect(exitCode).toBe(0)
    expect(stdout).toContain('update-ca-certificates')
    expect((await namespace.run('sh', ['-n'], { input: stdout })).exitCode).toBe(0)
    expect(await storeTrees(namespace)).toEqual(before)
  })
})

describe.skipIf(obstacle !== null)(`uninstall${skipNote}`, () => {
  test('of a machine where nothing was installed changes nothing', async () => {
    const { namespace, rootling } = await openMachine()
    const { exitCode, answer } = await rootling.json(['uninstall', '--delete-ca', '--yes'])
    expect(exitCode).toBe(0)
    expect(answer).toMatchObject({ ok: true, deleted: false })
    const { stdout } = await namespace.must('find', [namespace.home, '-mindepth', '1'])
    expect(stdout).toBe('')
  })
})

async function uninstallByName(namespace: Namespace, rootling: Rootling, root: string) {
  await namespace.must('rm', ['-r', `${namespace.home}/.local/share/rootling`])
  expect((await findRoot(namespace, root)).length).toBeGreaterThan(2)
  // They may be another user's, so they are taken out only on request.
  for (const line of [
    ['uninstall', '--yes'],
    ['uninstall'],
    ['uninstall', '--delete-ca', '--yes'],
  ]) {
    const refused = await rootling.json(line)
    expect(refused.exitCode).toBe(2)
    expect(refused.answer.error).toMatchObject({
      code: 'usage',
      message: expect.stringMatching(
        /hold roots that may be another user’s: rootling-\w+ \([0-9a-f:]+\)\.$/,
      ),
      hint: 'To remove them all the same: rootling uninstall --all --yes',
    })
  }
  expect((await findRoot(namespace, root)).length).toBeGreaterThan(2)
  const { exitCode, answer } = await rootling.json(['uninstall', '--all', '--yes'])
  expect(exitCode).toBe(0)
  expect(storesThat(answer, 'failed')).toEqual([])
  expect(summary(answer)).toEqual(expect.arrayContaining(['system removed', 'nss removed']))
  expect(await findRoot(namespace, root)).toEqual([])
  // And makes no authority on the way.
  expect(await namespace.readTree(`${namespace.home}/.local/share/rootling`)).toEqual({})
}
