import { dirname } from 'node:path'
import { describe, expect, test } from 'vitest'
import { commandForEverybody } from '../../helpers/for-everybody.ts'
import { namespaceUnavailable } from '../../helpers/namespace.ts'
import type { Namespace } from '../../helpers/namespace.ts'
import { testNamespace } from '../../helpers/test-namespace.ts'
import type { Finished } from '../../helpers/subprocess.ts'
import { findRoot } from '../../helpers/store-contents.ts'
import { notInstalled } from './client.ts'
import { parseAnswer, summary } from '../../helpers/rootling.ts'
import type { Answer } from '../../helpers/rootling.ts'

// A person who is not root: the system's stores through sudo, their own as themselves.

const needed = ['sudo', 'useradd', 'runuser', 'certutil', 'chromium', 'update-ca-certificates']
const missing = await Promise.all(needed.map(notInstalled))
const obstacle = namespaceUnavailable() ?? missing.find((reason) => reason !== null) ?? null
const skipNote = obstacle === null ? '' : ` [skipped: ${obstacle}]`

interface Person {
  readonly namespace: Namespace
  readonly home: string
  /** `rootling …` as typed by the person. */
  readonly rootling: (...args: string[]) => Promise<Finished>
  /** `sudo rootling …` as typed by the person. */
  readonly sudoRootling: (...args: string[]) => Promise<Finished>
  /** Files below a directory that belong to somebody else. */
  readonly foreign: (directory: string) => Promise<string>
}

/** A machine with the user ada, whom sudoers names with this rule; `null`: not at all. */
async function openPerson(rule: string | null): Promise<Person> {
  const namespace = await testNamespace()
  const scratch = dirname(namespace.home)
  const home = `${scratch}/ada`
  const command = await commandForEverybody(namespace)
  const script = `
    set -eu
    scratch=$1
    useradd --create-home --home-dir "$scratch/ada" --shell /bin/sh ada
    rm -rf /etc/sudoers.d
    mkdir -m 0755 /etc/sudoers.d`
  await namespace.must('sh', ['-c', script, 'sh', scratch])
  if (rule !== null) {
    await namespace.writeFile('/etc/sudoers.d/ada', `ada ${rule}\n`)
    await namespace.must('chmod', ['0440', '/etc/sudoers.d/ada'])
  }
  const environment = ['env', `HOME=${home}`, 'USER=ada', 'LOGNAME=ada']
  const asAda = (args: readonly string[]) =>
    namespace.run('runuser', ['-u', 'ada', '--', ...environment, ...args])
  return {
    namespace,
    home,
    rootling: (...args) => asAda([...command, ...args]),
    sudoRootling: (...args) => asAda(['sudo', ...command, ...args]),
    foreign: async (directory) =>
      (await namespace.must('find', [directory, '-not', '-user', 'ada'])).stdout,
  }
}

const noPassword = 'ALL=(ALL) NOPASSWD: ALL'
const answerOf = ({ stdout, stderr }: Finished) => parseAnswer(stdout, stderr)

const outcomes = ({ stores = [] }: Answer, outcome: string) =>
  stores.filter((row) => row.outcome === outcome).map(({ store }) => store.kind)

async function rootOf(namespace: Namespace, { scopes = [] }: Answer): Promise<string> {
  return (await namespace.readFile(scopes[0]?.rootPath ?? '')) ?? ''
}

describe.skipIf(obstacle !== null)(`a person with sudo${skipNote}`, () => {
  test('gets the system’s stores through sudo and their own as themselves', async () => {
    const { namespace, home, rootling, foreign } = await openPerson(noPassword)
    const installed = await rootling('install', '--yes', '--json')
    const answer = answerOf(installed)
    expect(outcomes(answer, 'failed')).toEqual([])
    expect(installed.exitCode).toBe(0)
    expect(summary(answer)).toEqual(expect.arrayContaining(['nss installed', 'system installed']))
    const scope = answer.scopes?.[0]
    expect(scope?.rootPath).toBe(`${home}/.local/share/rootling/scopes/local/root.pem`)
    expect(await foreign(home)).toBe('')
    const find = ['/usr/local/share/ca-certificates', '-name', 'rootling-*', '-printf', '%u %m']
    expect((await namespace.must('find', find)).stdout).toBe('root 644')
    const root = await rootOf(namespace, answer)
    const database = ['-L', '-d', `sql:${home}/.local/share/pki/nssdb`]
    const listed = await namespace.must('runuser', ['-u', 'ada', '--', 'certutil', ...database])
    expect(listed.stdout).toMatch(/^rootling-[0-9a-f]{8} +C,,/m)
    expect(await findRoot(namespace, root)).toContain('/etc/ssl/certs/ca-certificates.crt')

    const removed = await rootling('uninstall', '--delete-ca', '--yes', '--json')
    expect(answerOf(removed)).toMatchObject({ ok: true, deleted: true })
    expect(removed.exitCode).toBe(0)
    expect(await findRoot(namespace, root)).toEqual([])
    const rest = await namespace.must('find', [home, '-iname', '*rootling*'])
    expect(rest.stdout).toBe('')
  })

  test('gets the same by sudo rootling install, everything theirs at home', async () => {
    const { namespace, home, rootling, sudoRootling, foreign } = await openPerson(noPassword)
    const installed = await sudoRootling('install', '--yes', '--json')
    const answer = answerOf(installed)
    expect(outcomes(answer, 'failed')).toEqual([])
    expect(installed.exitCode).toBe(0)
    expect(answer.scopes?.[0]?.rootPath).toBe(`${home}/.local/share/rootling/scopes/local/root.pem`)
    expect(await foreign(home)).toBe('')
    expect(await namespace.readTree(`${home}/.local/share/pki/nssdb`)).toHaveProperty([
      `${home}/.local/share/pki/nssdb/cert9.db`,
    ])
    const { stdout } = await namespace.must('find', [namespace.home, '-mindepth', '1'])
    expect(stdout).toBe('')

    // The person themselves go on with it: the key is theirs, and every store trusts the root.
    const issued = await rootling('issue', 'localhost', `--out-dir=${home}`)
    expect(issued).toMatchObject({ exitCode: 0 })
    expect((await rootling('status')).exitCode).toBe(0)
    const root = await rootOf(namespace, answer)
    expect((await sudoRootling('uninstall', '--delete-ca', '--yes')).exitCode).toBe(0)
    expect(await findRoot(namespace, root)).toEqual([])
    expect((await namespace.must('find', [home, '-iname', '*rootling*'])).stdout).toBe('')
  })
})

describe.skipIf(obstacle !== null)(`a person without root${skipNote}`, () => {
  test('with --no-sudo gets their own stores, and a hint for the rest', async () => {
    const { namespace, home, rootling, foreign } = await openPerson(noPassword)
    const { exitCode, stdout, stderr } = await rootling('install', '--yes', '--no-sudo', '--json')
    const answer = parseAnswer(stdout, stderr)
    expect(exitCode).toBe(3)
    expect(outcomes(answer, 'failed')).toContain('system')
    for (const row of answer.stores?.filter(({ outcome }) => outcome === 'failed') ?? []) {
      expect(row.reason).toMatch(/needs root, and sudo was not allowed\.$/)
      expect(row.hint).toBe('Run it again without --no-sudo')
    }
    expect(outcomes(answer, 'installed')).toEqual(['nss'])
    expect(await foreign(home)).toBe('')
    const anchors = await namespace.readTree('/usr/local/share/ca-certificates')
    expect(Object.keys(anchors).join()).not.toContain('rootling')
  })

  const asks = 'never waits for a password that nobody can type'
  for (const [who, rule] of [
    ['may use sudo with a password', 'ALL=(ALL) ALL'],
    ['may not use sudo', null],
  ] as const) {
    test(`who ${who} ${asks}`, async () => {
      const { home, rootling, foreign } = await openPerson(rule)
      const { exitCode, stdout, stderr } = await rootling('install', '--yes', '--json')
      const answer = parseAnswer(stdout, stderr)
      expect(exitCode).toBe(3)
      const system = answer.stores?.find(({ store }) => store.kind === 'system')
      expect(system).toMatchObject({
        outcome: 'failed',
        reason: expect.stringMatching(/needs root, and sudo would ask for a password/),
        hint: expect.stringContaining('Run it again in a terminal'),
      })
      expect(outcomes(answer, 'installed')).toEqual(['nss'])
      expect(await foreign(home)).toBe('')
    })
  }
})
