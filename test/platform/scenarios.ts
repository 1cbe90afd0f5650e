import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, statSync } from 'node:fs'
import { appendFileSync, chownSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { findFirefoxPolicies } from '../../platform/firefox/policies.ts'
import { findTrustStores } from '../../platform/index.ts'
import { findJavaKeystores } from '../../platform/java/installations.ts'
import { createJavaStore } from '../../platform/java/keystore.ts'
import { findSystemStore } from '../../platform/linux/anchors.ts'
import { createMachine, type Machine } from '../../platform/machine.ts'
import { findNssDatabases } from '../../platform/nss/browsers.ts'
import { createNssStore } from '../../platform/nss/store.ts'
import { certificatesIn } from '../../platform/pem.ts'
import type { TrustAnchor, TrustStore } from '../../platform/trust-store.ts'
import { allWell, findInstalledAnchors, installAnchors } from '../../src/trust/stores.ts'
import { trustStatus, uninstallAnchors } from '../../src/trust/stores.ts'
import { RootlingError } from '../../src/errors.ts'
import { anchor as fixedAnchor } from './anchors.ts'
import { lifecycle } from './lifecycle-steps.ts'
import { otherSystems } from './scenarios-other.ts'
import { makeMachine, makeRoot, parentOf, sh, snapshot, succeeds } from './world.ts'

/** What runs on the private copy of the machine, by name; each throws where the machine disagrees. */
export const scenarios: Readonly<Record<string, () => Promise<void>>> = {
  ...otherSystems,

  'system store': () =>
    lifecycle({
      store: async () => findSystemStore((await makeMachine()).machine),
      trees: ['/usr/local/share/ca-certificates', '/etc/ssl/certs'],
      proof: (leaf) => succeeds('openssl', ['verify', '-CApath', '/etc/ssl/certs', leaf]),
    }),

  'Chromium database that the browser would make at its first page': async () => {
    const { machine, home } = await makeMachine()
    await lifecycle({ store: () => nssStore(machine, '.local/share/pki/nssdb'), trees: [home] })
  },

  'Chromium database in an empty ~/.pki/nssdb': async () => {
    const { machine, home } = await makeMachine()
    mkdirSync(path.join(home, '.pki/nssdb'), { recursive: true })
    await lifecycle({ store: () => nssStore(machine, '.pki/nssdb'), trees: [home] })
  },

  'Firefox profile that profiles.ini names': async () => {
    const { machine, home } = await makeMachine()
    const profile = makeFirefoxProfile(home)
    await lifecycle({ store: () => nssStore(machine, profile), trees: [home] })
  },

  'shared NSS database in /etc/pki': async () => {
    const { machine } = await makeMachine()
    makeDatabase('/etc/pki/nssdb')
    await lifecycle({ store: () => nssStore(machine, '/etc/pki/nssdb'), trees: ['/etc/pki'] })
  },

  'Firefox policies where none are': async () => {
    const { machine } = await makeMachine()
    await lifecycle({ store: () => policiesStore(machine), trees: ['/etc'] })
    assert.equal(existsSync('/etc/firefox'), false)
  },

  'Firefox policies beside others': async () => {
    const { machine } = await makeMachine()
    const file = parentOf('/etc/firefox/policies/policies.json')
    const before = '{\n\t"policies": {\n\t\t"DisableTelemetry": true\n\t}\n}\n'
    writeFileSync(file, before)
    await lifecycle({ store: () => policiesStore(machine), trees: ['/etc'] })
    assert.equal(readFileSync(file, 'utf8'), before)
  },

  'Firefox policies that an administrator keeps elsewhere, with an owner and a mode': async () => {
    const { machine } = await makeMachine()
    rmSync('/etc/firefox', { recursive: true, force: true })
    const target = parentOf('/etc/our policies/policies.json')
    const before = '{\r\n  "policies" : {"Certificates": { "Install":[] }, "A": 1.0}}\r\n'
    writeFileSync(target, before)
    chownSync(target, 4242, 4343)
    chmodSync(target, 0o664)
    symlinkSync(target, parentOf('/etc/firefox/policies/policies.json'))
    const status = () => {
      const { uid, gid, mode } = statSync(target)
      return [uid, gid, mode & 0o7777]
    }
    await lifecycle({ store: () => policiesStore(machine), trees: ['/etc'] })
    assert.equal(readFileSync(target, 'utf8'), before)
    assert.deepEqual(status(), [4242, 4343, 0o664])
    const store = await policiesStore(machine)
    const { anchor } = makeRoot()
    await store.install(anchor)
    assert.deepEqual(status(), [4242, 4343, 0o664])
    assert.equal(readFileSync(target, 'utf8').includes(anchor.name), true)
    await store.uninstall(anchor)
    rmSync('/etc/firefox', { recursive: true })
    rmSync('/etc/our policies', { recursive: true })
  },

  'Firefox policies mounted from elsewhere': async () => {
    const { machine } = await makeMachine()
    const file = parentOf('/etc/firefox/policies/policies.json')
    const source = path.join(mkdtempSync(path.join(tmpdir(), 'mounted-')), 'policies.json')
    for (const each of [file, source]) writeFileSync(each, '{"policies":{}}')
    sh('mount', ['--bind', source, file])
    try {
      const store = await policiesStore(machine)
      const before = snapshot(['/etc/firefox'])
      await assert.rejects(store.install(makeRoot().anchor), {
        code: 'store-failed',
        message: `${file} is mounted from elsewhere, so it is changed only there.`,
      })
      assert.deepEqual(snapshot(['/etc/firefox']), before)
      assert.equal(readFileSync(source, 'utf8'), '{"policies":{}}')
    } finally {
      sh('umount', [file])
      rmSync('/etc/firefox', { recursive: true })
    }
  },

  'Firefox policies that Firefox reads, and with a byte order mark does not': async () => {
    const { machine, home } = await makeMachine()
    rmSync('/etc/firefox', { recursive: true, force: true })
    const { anchor } = makeRoot()
    const store = await policiesStore(machine)
    await store.install(anchor)
    const file = '/etc/firefox/policies/policies.json'
    for (const mark of ['', '\uFEFF']) {
      writeFileSync(file, mark + readFileSync(file, 'utf8'))
      const profile = path.join(home, `profile${mark.length}`)
      mkdirSync(profile)
      const page = ['--screenshot', path.join(home, 'page.png'), 'about:blank']
      const firefox = ['firefox', '--headless', '--no-remote', '--profile', profile, ...page]
      sh('env', [`HOME=${home}`, 'timeout', '300', ...firefox])
      assert.equal(listing(profile).includes('A root for tests'), mark === '')
      assert.equal(await store.has(anchor), mark === '')
    }
    rmSync('/etc/firefox', { recursive: true })
  },

  'Firefox policies in a directory that is a mount, or a link': async () => {
    const { machine } = await makeMachine()
    rmSync('/etc/firefox', { recursive: true, force: true })
    const { anchor } = makeRoot()
    const cycle = async () => {
      const store = await policiesStore(machine)
      assert.deepEqual(summary(await installAnchors([store], [anchor])), ['installed'])
      assert.deepEqual(summary(await uninstallAnchors([store], [anchor])), ['removed'])
    }
    mkdirSync('/etc/firefox/policies', { recursive: true })
    sh('mount', ['-t', 'tmpfs', 'tmpfs', '/etc/firefox/policies'])
    try {
      await cycle()
    } finally {
      sh('umount', ['/etc/firefox/policies'])
    }
    rmSync('/etc/firefox/policies', { recursive: true })
    const elsewhere = mkdtempSync(path.join(tmpdir(), 'policies-'))
    symlinkSync(elsewhere, '/etc/firefox/policies')
    await cycle()
    assert.equal(existsSync('/etc/firefox/policies'), true)
    rmSync('/etc/firefox', { recursive: true })
  },

  "Java's keystore, shared by the distribution": async () => {
    const { machine } = await makeMachine()
    await lifecycle({ store: () => javaStore(machine), trees: ['/etc/ssl/certs/java'] })
  },

  'keystore of a Java of its own': async () => {
    const home = makeJava()
    const { machine } = await makeMachine({ JAVA_HOME: home })
    const store = () => javaStore(machine, path.join(home, 'lib/security/cacerts'))
    await lifecycle({ store, trees: [home] })
  },

  'all stores of the machine at once': async () => {
    const { machine, home } = await makeMachine()
    makeFirefoxProfile(home)
    const { anchor } = makeRoot()
    const stores = await findTrustStores(machine)
    assert.equal(allWell(await trustStatus(stores, [anchor])), false)
    const installed = await installAnchors(stores, [anchor])
    assert.deepEqual(summary(installed), ['installed'])
    assert.equal(allWell(await trustStatus(await findTrustStores(machine), [anchor])), true)
    assert.deepEqual(await findInstalledAnchors(stores), [anchor])
    assert.deepEqual(summary(await uninstallAnchors(stores, [anchor])), ['removed'])
    assert.deepEqual(await findInstalledAnchors(stores), [])
    assert.equal(keystoreListing().includes(anchor.name), false)
  },

  'keystore that the hook cannot write while apt works': async () => {
    const { machine } = await makeMachine()
    const { anchor } = makeRoot()
    const stores = [await findSystemStore(machine), await javaStore(machine)]
    const release = await holdDpkgLock()
    const installed = await installAnchors(stores, [anchor])
    assert.deepEqual(summary(installed), ['installed'])
    assert.equal(keystoreListing().includes(anchor.name), true)
    const removed = await uninstallAnchors(stores, [anchor])
    assert.deepEqual(summary(removed), ['removed'])
    assert.equal(keystoreListing().includes(anchor.name), false)
    release()
  },

  'dangling links of a root whose file is gone': async () => {
    const { machine } = await makeMachine()
    const { anchor } = makeRoot()
    const store = await findSystemStore(machine)
    const before = snapshot(['/etc/ssl/certs'])
    await store.install(anchor)
    sh('rm', [`/usr/local/share/ca-certificates/${anchor.name}.crt`])
    await store.uninstall(anchor)
    assert.equal(await store.has(anchor), false)
    assert.deepEqual(snapshot(['/etc/ssl/certs']), before)
  },

  'two installations at once': async () => {
    const { machine } = await makeMachine()
    const store = await findSystemStore(machine)
    const roots = [makeRoot().anchor, makeRoot().anchor, makeRoot().anchor]
    const bundle = () => certificatesIn(readFileSync('/etc/ssl/certs/ca-certificates.crt', 'utf8'))
    const before = bundle().length
    await Promise.all(roots.map((root) => store.install(root)))
    assert.equal(bundle().length, before + roots.length)
    for (const root of roots) assert.equal(await store.has(root), true)
    for (const root of roots) await store.uninstall(root)
    assert.equal(bundle().length, before)
  },

  'database behind a primary password': async () => {
    const { machine, home } = await makeMachine()
    const directory = makeDatabase(path.join(home, '.pki/nssdb'), 'secret')
    const { anchor } = makeRoot()
    const store = await nssStore(machine, directory)
    await assert.rejects(store.install(anchor), (error) => {
      assert(error instanceof RootlingError)
      assert.equal(error.code, 'store-failed')
      assert.match(error.message, /is locked by a primary password\.$/)
      return true
    })
    assert.equal(listing(directory).includes(anchor.name), false)
    const [outcome] = await installAnchors([store], [anchor])
    assert.equal(outcome?.outcome, 'failed')
  },

  'copy that the policy left in a profile': async () => {
    const { machine, home } = await makeMachine()
    const chromium = makeDatabase(path.join(home, '.pki/nssdb'))
    const firefox = makeFirefoxProfile(home)
    const { anchor } = makeRoot()
    for (const directory of [chromium, firefox]) {
      const args = ['-A', '-a', '-d', `sql:${directory}`, '-t', ',,', '-n']
      sh('certutil', [...args, 'A root for tests - Rootling test'], anchor.pem)
      const store = await nssStore(machine, directory)
      assert.equal(await store.has(anchor), directory === firefox)
      await store.uninstall(anchor)
      assert.equal(await store.has(anchor), false)
      assert.equal(listing(directory).includes('A root for tests'), false)
    }
  },

  "root under Firefox's own nickname, listed when nothing else tells of it": async () => {
    const { machine, home } = await makeMachine()
    const directory = makeFirefoxProfile(home)
    const own = '/O=Rootling development CA/CN=Jürgen’s CA'
    const [{ anchor }, { anchor: other }] = [makeRoot(own), makeRoot('/O=Somebody/CN=A CA')]
    const add = ['-A', '-a', '-d', `sql:${directory}`, '-t', ',,', '-n']
    sh('certutil', [...add, 'Jürgen’s CA - Rootling development CA'], anchor.pem)
    sh('certutil', [...add, 'A CA - Somebody'], other.pem)
    const store = await nssStore(machine, directory)
    assert.deepEqual(await store.list(), [anchor])
    assert.equal(await store.has(anchor), true)
    await store.uninstall(anchor)
    assert.deepEqual(await store.list(), [])
    assert.equal(listing(directory).includes('A CA - Somebody'), true)
  },

  'as many calls of certutil with sixty other authorities as with two': async () => {
    const { machine, home } = await makeMachine()
    const directory = makeDatabase(path.join(home, '.pki/nssdb'))
    const [{ anchor }, { anchor: quoted }] = [makeRoot(), makeRoot('/CN=quoted')]
    sh('certutil', ['-A', '-a', '-d', `sql:${directory}`, '-t', 'C,,', '-n', 'a "CA"'], quoted.pem)
    addAuthorities(directory, 1, 2)
    const few = await countCalls(machine, directory, anchor)
    addAuthorities(directory, 3, 60)
    assert.equal(await countCalls(machine, directory, anchor), few)
    assert.equal(few <= 40, true, `${few} calls`)
    assert.equal(await (await nssStore(machine, directory)).has(quoted), true)
  },

  'another root of the same subject stays': async () => {
    const { machine, home } = await makeMachine()
    const directory = makeDatabase(path.join(home, '.pki/nssdb'))
    const [first, second] = [makeRoot().anchor, makeRoot().anchor]
    const store = await nssStore(machine, directory)
    const args = ['-A', '-a', '-d', `sql:${directory}`, '-t', 'C,,', '-n']
    sh('certutil', [...args, 'A root for tests - 1'], first.pem)
    sh('certutil', [...args, 'A root for tests - 2'], second.pem)
    await store.uninstall(second)
    assert.equal(await store.has(second), false)
    assert.equal(await store.has(first), true)
    await store.uninstall(first)
    assert.equal(await store.has(first), false)
  },

  'work of root for the person who typed sudo': async () => {
    const home = mkdtempSync(path.join(tmpdir(), 'ada-'))
    chmodSync(home, 0o700)
    chownSync(home, 4242, 4343)
    appendFileSync('/etc/passwd', `ada:x:4242:4343::${home}:/bin/sh\n`)
    const env = { PATH: '/usr/bin:/bin', HOME: '/root', SUDO_UID: '4242', SUDO_GID: '4343' }
    const machine = await createMachine({ env: { ...env, SUDO_USER: 'ada' } })
    assert.deepEqual(machine.person, { name: 'ada', uid: 4242, gid: 4343, home, viaSudo: true })
    const { anchor } = makeRoot()
    const before = snapshot([home])
    const store = await nssStore(machine, '.local/share/pki/nssdb')
    await store.install(anchor)
    assert.equal(await store.has(anchor), true)
    const database = path.join(home, '.local/share/pki/nssdb/cert9.db')
    for (const file of [database, path.dirname(database), path.join(home, '.local')]) {
      const { uid, gid } = statSync(file)
      assert.deepEqual([file, uid, gid], [file, 4242, 4343])
    }
    await store.uninstall(anchor)
    assert.deepEqual(snapshot([home]), before)
    const policies = path.join(home, 'policies.json')
    writeFileSync(policies, '{}')
    chmodSync(policies, 0o640)
    chownSync(policies, 4242, 4343)
    await machine.replaceFile(policies, '{"policies":{}}', 'person')
    assert.equal(readFileSync(policies, 'utf8'), '{"policies":{}}')
    const { uid, gid, mode } = statSync(policies)
    assert.deepEqual([uid, gid, mode & 0o7777], [4242, 4343, 0o640])
    assert.deepEqual(snapshot([home]), [policies])
  },

  'dry run changes nothing and prints what it would type': async () => {
    const { home } = await makeMachine()
    const env = { PATH: '/usr/bin:/bin', HOME: home }
    const { anchor } = makeRoot()
    const trees = ['/etc', '/usr/local/share', home]
    const before = snapshot(trees)
    const knownFiles = new Map([[anchor.pem, '/home/ada/the root.pem']])
    const machine = await createMachine({ env, dryRun: true, knownFiles })
    const stores = await findTrustStores(machine)
    const outcomes = await installAnchors(stores, [anchor], { dryRun: true })
    assert.deepEqual(summary(outcomes), ['would-install'])
    assert.deepEqual(snapshot(trees), before)
    const file = `/usr/local/share/ca-certificates/${anchor.name}.crt`
    const typed = `install -D -m 0644 /dev/stdin ${file} < '/home/ada/the root.pem'`
    assert(machine.planned.some((command) => command.endsWith(typed)))
    assert(machine.planned.some((command) => command.includes('update-ca-certificates')))
  },
}

/** The store of the one database whose directory ends so. */
async function nssStore(machine: Machine, directory: string): Promise<TrustStore> {
  const databases = await findNssDatabases(machine)
  const database = databases.find((each) => each.directory.endsWith(directory))
  assert(database, `no database in ${directory}`)
  return createNssStore(machine, database)
}

/** The store of the Firefox policies in this directory. */
async function policiesStore(machine: Machine, directory = '/etc/firefox/policies') {
  const stores = await findFirefoxPolicies(machine)
  const store = stores.find(({ id }) => id === `firefox-policies:${directory}`)
  assert(store, `no policies in ${directory}`)
  return store
}

async function javaStore(machine: Machine, file = '/etc/ssl/certs/java/cacerts') {
  const keystore = (await findJavaKeystores(machine)).find((each) => each.file === file)
  assert(keystore, `no keystore ${file}`)
  return createJavaStore(machine, keystore)
}

/**
 * Adds trusted roots of other authorities by one call of certutil, which does not look at their
 * signatures.
 */
function addAuthorities(directory: string, from: number, to: number): void {
  const made = mkdtempSync(path.join(tmpdir(), 'authorities-'))
  const lines = Array.from({ length: to - from + 1 }, (_, index) => {
    const subject = `Authority no. ${10 + from + index}`
    const der = fixedAnchor.der.toString('latin1').replaceAll('A root for tests', subject)
    const file = path.join(made, `${index}.der`)
    writeFileSync(file, der, 'latin1')
    return `-A -t C,, -n "${subject} - it's another" -i ${file}\n`
  })
  writeFileSync(path.join(made, 'batch'), lines.join(''))
  sh('certutil', ['-B', '-i', path.join(made, 'batch'), '-d', `sql:${directory}`])
  const { length } = listing(directory).split("it's another")
  assert.equal(length - 1, to)
}

/** Installs a root, uninstalls it, and returns how many programs that started. */
async function countCalls(
  machine: Machine,
  directory: string,
  anchor: TrustAnchor,
): Promise<number> {
  let calls = 0
  const counting: Machine = {
    ...machine,
    query(...args) {
      calls += 1
      return machine.query(...args)
    },
    change(...args) {
      calls += 1
      return machine.change(...args)
    },
  }
  const store = await nssStore(counting, directory)
  assert.deepEqual(summary(await installAnchors([store], [anchor])), ['installed'])
  assert.deepEqual(summary(await trustStatus([store], [anchor])), ['trusted'])
  assert.deepEqual(summary(await uninstallAnchors([store], [anchor])), ['removed'])
  return calls
}

function makeDatabase(directory: string, password?: string): string {
  mkdirSync(directory, { recursive: true })
  const file = path.join(mkdtempSync(path.join(tmpdir(), 'password-')), 'password')
  writeFileSync(file, `${password ?? ''}\n`)
  const unlock = password === undefined ? ['--empty-password'] : ['-f', file]
  sh('certutil', ['-N', '-d', `sql:${directory}`, ...unlock])
  return directory
}

/** A profile outside the directory of profiles.ini, as a person may keep it. */
function makeFirefoxProfile(home: string): string {
  const profile = makeDatabase(path.join(home, 'profiles/work'))
  const ini = parentOf(path.join(home, '.config/mozilla/firefox/profiles.ini'))
  writeFileSync(ini, `[Profile0]\nName=work\nIsRelative=0\nPath=${profile}\n`)
  return profile
}

/** A Java whose keystore is its own file. */
function makeJava(): string {
  const home = mkdtempSync(path.join(tmpdir(), 'java-'))
  chmodSync(home, 0o755)
  copyFileSync('/etc/ssl/certs/java/cacerts', parentOf(path.join(home, 'lib/security/cacerts')))
  symlinkSync('/usr/bin/keytool', parentOf(path.join(home, 'bin/keytool')))
  return home
}

function listing(directory: string): string {
  return sh('certutil', ['-L', '-d', `sql:${directory}`])
}

function keystoreListing(): string {
  return sh('keytool', ['-list', '-cacerts', '-storepass', 'changeit'])
}

/** Holds the lock of dpkg as apt does, until the returned function is called. */
async function holdDpkgLock(): Promise<() => void> {
  const script = [
    'import fcntl, sys, time',
    'files = [open("/var/lib/dpkg/" + name, "a") for name in ("lock-frontend", "lock")]',
    'for file in files: fcntl.lockf(file, fcntl.LOCK_EX)',
    'print("held", flush=True)',
    'sys.stdin.read()',
  ].join('\n')
  const child = spawn('python3', ['-c', script], { stdio: ['pipe', 'pipe', 'inherit'] })
  await new Promise((resolve) => child.stdout.once('data', resolve))
  return () => child.kill()
}

/** The distinct outcomes, sorted; stores that were skipped do not count. */
function summary(outcomes: readonly { outcome: string; reason?: string }[]): string[] {
  const failures = outcomes.filter(({ outcome }) => outcome === 'failed')
  assert.deepEqual(failures, [])
  return [...new Set(outcomes.map(({ outcome }) => outcome))]
    .filter((outcome) => outcome !== 'skipped')
    .toSorted()
}
