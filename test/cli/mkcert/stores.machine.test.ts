import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { describe, expect, onTestFinished, test } from 'vitest'
import { builtPrograms } from '../../helpers/built.ts'
import { namespaceUnavailable, type Namespace } from '../../helpers/namespace.ts'
import { testNamespace } from '../../helpers/test-namespace.ts'
import { findRoot } from '../../helpers/store-contents.ts'
import type { Finished } from '../../helpers/subprocess.ts'
import { createSide, mkcertMissing, realMkcert } from './both.ts'

const reason = mkcertMissing() ?? namespaceUnavailable()

const system = {
  now: 'The local CA is now installed in the system trust store! ⚡️',
  already: 'The local CA is already installed in the system trust store! 👍',
  not: 'Note: the local CA is not installed in the system trust store.',
  gone: 'The local CA is now uninstalled from the system trust store(s)! 👋',
}
const browsers = {
  now: 'The local CA is now installed in the Firefox and/or Chrome/Chromium trust store (requires browser restart)! 🦊',
  already:
    'The local CA is already installed in the Firefox and/or Chrome/Chromium trust store! 👍',
  not: 'Note: the local CA is not installed in the Firefox and/or Chrome/Chromium trust store.',
}
const java = {
  already: "The local CA is already installed in Java's trust store! 👍",
  now: "The local CA is now installed in Java's trust store! ☕️",
}
/** Debian's hook copies the system store into Java's, so that Java may have the root already. */
const eitherJava = new Set([java.now, java.already])

interface World {
  readonly namespace: Namespace
  readonly caroot: string
  /** Runs a line with both stores and CAROOT at their defaults but for `env`. */
  readonly line: (args: readonly string[], env?: Record<string, string>) => Promise<Finished>
  /** The public root. */
  readonly root: () => Promise<string>
  /** Where the root is trusted, by DER. */
  readonly trusted: () => Promise<string[]>
}

describe.skipIf(reason !== null)(`trust stores${reason ? ` (${reason})` : ''}`, () => {
  const built = builtPrograms()

  test('says what mkcert says, on a machine where mkcert finds all', async () => {
    await withBoth(async (program) => {
      const { namespace, line, trusted } = await open(program)
      await makeNssDatabase(namespace, `${namespace.home}/.pki/nssdb`)
      const before = await line(['shop.test'])
      expect(sentences(before)).toEqual(expect.arrayContaining([system.not, browsers.not]))
      const first = await line(['-install'])
      expect([first.exitCode, ...sentences(first)]).toEqual(
        expect.arrayContaining([0, system.now, browsers.now]),
      )
      const env = { JAVA_HOME: await javaHome(namespace) }
      const again = await line(['-install', 'shop.test'], env)
      expect([again.exitCode, ...sentences(again)]).toEqual(
        expect.arrayContaining([0, system.already, browsers.already]),
      )
      expect(sentences(again).some((sentence) => eitherJava.has(sentence))).toBe(true)
      const after = await line(['shop.test'], env)
      expect(sentences(after).filter((sentence) => sentence.startsWith('Note:'))).toEqual([])
      expect((await trusted()).length).toBeGreaterThan(3)
      const gone = await line(['-uninstall'], env)
      expect([gone.exitCode, ...sentences(gone)]).toEqual([0, system.gone])
    })
  })

  test('reaches the browsers of today and leaves nothing behind at -uninstall, where mkcert finds no browsers and leaves Java trusting', async () => {
    const profile = '.config/mozilla/firefox/abc.default-esr'
    const databases = ['.local/share/pki/nssdb', profile]
    const reached: Record<string, string[]> = {}
    const left: Record<string, string[]> = {}
    await withBoth(async (program) => {
      const { namespace, line, trusted } = await open(program)
      for (const directory of databases)
        await makeNssDatabase(namespace, `${namespace.home}/${directory}`)
      const ini = `[Profile0]\nName=default-esr\nIsRelative=1\nPath=abc.default-esr\n`
      await namespace.writeFile(`${namespace.home}/.config/mozilla/firefox/profiles.ini`, ini)
      const { exitCode, stderr } = await line(['-install'])
      expect(exitCode).toBe(0)
      if (program === realMkcert)
        expect(stderr).toContain('no Firefox and/or Chrome/Chromium security databases found')
      const places = await trusted()
      const nss = places.filter((place) => place.startsWith('nss:'))
      reached[program] = nss.map((place) => place.replace(`nss:${namespace.home}/`, ''))
      expect(places.some((place) => place.startsWith('java:'))).toBe(true)
      expect((await line(['-uninstall'])).exitCode).toBe(0)
      left[program] = await trusted()
    })
    expect(reached[realMkcert]).toEqual([])
    expect(reached[built.mkcert]?.toSorted()).toEqual(databases.toSorted())
    expect(left[realMkcert]).toEqual([expect.stringContaining('java:')])
    expect(left[built.mkcert]).toEqual([])
  })

  test('goes on with the other stores and the certificate when one store fails, where mkcert stops', async () => {
    await withBoth(async (program) => {
      const { namespace, line } = await open(program)
      for (const name of ['cert9.db', 'key4.db'])
        await namespace.writeFile(`${namespace.home}/.pki/nssdb/${name}`, 'no database')
      const { exitCode, stderr } = await line(['-install', 'shop.test'])
      expect([exitCode, stderr]).toEqual([1, expect.stringContaining(system.now)])
      expect(stderr).not.toContain(browsers.now)
      expect(stderr).toMatch(/^ERROR: .*nssdb/m)
      const issued = program === realMkcert ? 0 : 1
      expect(stderr.match(/The certificate is at/g) ?? []).toHaveLength(issued)
    })
  })

  test('keeps to $TRUST_STORES', async () => {
    const { namespace, line, trusted } = await open(built.mkcert)
    await makeNssDatabase(namespace, `${namespace.home}/.pki/nssdb`)
    const env = { TRUST_STORES: 'nss' }
    const { exitCode, stderr } = await line(['-install'], env)
    expect([exitCode, sentences({ stderr })]).toEqual([0, [browsers.now]])
    expect(await trusted()).not.toContain('/etc/ssl/certs/ca-certificates.crt')
    const gone = await line(['-uninstall'], env)
    expect(gone.stderr).toContain('The local CA is now uninstalled from the Firefox')
    expect(await trusted()).toEqual([])
  })

  test('trusts a root that stands alone in $CAROOT, and signs nothing with it', async () => {
    const other = createSide(realMkcert)
    onTestFinished(() => other.remove())
    await other.run(['made.test'], other.directory())
    const otherRoot = readFileSync(`${other.caroot}/rootCA.pem`, 'utf8')
    await withBoth(async (program) => {
      const { namespace, line, caroot, trusted } = await open(program)
      await namespace.writeFile(`${caroot}/rootCA.pem`, otherRoot)
      const refused = await line(['shop.test'])
      expect([refused.exitCode, refused.stderr]).toEqual([
        1,
        expect.stringContaining('rootCA-key.pem'),
      ])
      const installed = await line(['-install'])
      expect([installed.exitCode, installed.stderr]).toEqual([
        0,
        expect.stringContaining(system.now),
      ])
      expect(await trusted()).toContain('/etc/ssl/certs/ca-certificates.crt')
      expect((await line(['-uninstall'])).exitCode).toBe(0)
      expect(await trusted()).not.toContain('/etc/ssl/certs/ca-certificates.crt')
    })
  })

  test('goes on with the CA of mkcert’s that stands in $CAROOT, warns once, and removes it whole', async () => {
    const { namespace, line, caroot, root, trusted } = await open(built.mkcert)
    const env = { CAROOT: caroot }
    await makeNssDatabase(namespace, `${namespace.home}/.pki/nssdb`)
    await namespace.must(realMkcert, ['-install'], { env })
    const before = await root()
    const warning = 'may sign any name'
    const first = await line(['-install', 'shop.test', 'www.example.com'])
    expect(first.exitCode).toBe(0)
    for (const sentence of [system.already, browsers.now, java.already, warning])
      expect(first.stderr).toContain(sentence)
    expect(first.stderr).not.toContain('Created a new local CA')
    const file = `${namespace.home}/shop.test+1.pem`
    await namespace.must('openssl', ['verify', '-CAfile', `${caroot}/rootCA.pem`, file])
    expect((await line(['shop.test'])).stderr).not.toContain(warning)
    expect(await root()).toBe(before)
    expect((await line(['-uninstall'])).exitCode).toBe(0)
    expect(await trusted()).toEqual([])
  })

  test('makes no CA only to uninstall it, as mkcert does', async () => {
    const { namespace, line, caroot } = await open(built.mkcert)
    const { exitCode, stderr } = await line(['-uninstall'])
    expect([exitCode, stderr]).toEqual([0, expect.stringContaining('nothing to uninstall')])
    expect(await namespace.readTree(caroot)).toEqual({})
    const theirs = await open(realMkcert)
    const uninstalled = await theirs.line(['-uninstall'], { TRUST_STORES: 'nss' })
    expect(uninstalled.stderr).toContain('Created a new local CA')
  })

  test('signs a name outside once a scope permits it, and rootCA.pem holds both roots', async () => {
    const { namespace, line, caroot, root } = await open(built.mkcert)
    await makeNssDatabase(namespace, `${namespace.home}/.pki/nssdb`)
    const installed = await line(['-install', 'dev.example.com'], { TRUST_STORES: 'nss' })
    expect([installed.exitCode, sentences(installed)]).toEqual([1, [browsers.now]])
    const env = { ROOTLING_HOME: caroot }
    const permit = ['ca', 'permit', 'dev.example.com', '--yes', '--stores', 'nss']
    await namespace.must(built.rootling, permit, { env })
    const { exitCode } = await line(['-cert-file', `${namespace.home}/c.pem`, 'dev.example.com'])
    expect(exitCode).toBe(0)
    expect((await root()).match(/BEGIN CERTIFICATE/g)).toHaveLength(2)
    const verify = ['verify', '-CAfile', `${caroot}/rootCA.pem`, '-untrusted']
    const file = `${namespace.home}/c.pem`
    await namespace.must('openssl', [...verify, file, file])
  })

  /** Each in a namespace of its own, side by side. */
  async function withBoth(work: (program: string) => Promise<void>): Promise<void> {
    await Promise.all([realMkcert, built.mkcert].map(work))
  }

  async function open(program: string): Promise<World> {
    const namespace = await testNamespace()
    const caroot = `${namespace.home}/caroot`
    const root = async () => (await namespace.readFile(`${caroot}/rootCA.pem`)) ?? ''
    return {
      namespace,
      caroot,
      root,
      line: (args, env = {}) => {
        const command = [`--chdir=${namespace.home}`, program, ...args]
        return namespace.run('env', command, { env: { CAROOT: caroot, ...env } })
      },
      async trusted() {
        const places = await findRoot(namespace, new X509Certificate(await root()).toString())
        return places.filter((place) => !place.startsWith(caroot))
      },
    }
  }
})

function sentences({ stderr }: Pick<Finished, 'stderr'>): string[] {
  return stderr.split('\n').filter((line) => /^(?:The local CA|Note:)/.test(line))
}

async function makeNssDatabase(namespace: Namespace, directory: string): Promise<void> {
  await namespace.must('mkdir', ['-p', directory])
  await namespace.must('certutil', ['-N', '-d', `sql:${directory}`, '--empty-password'])
}

async function javaHome(namespace: Namespace): Promise<string> {
  const script = 'dirname "$(dirname "$(readlink -f "$(command -v keytool)")")"'
  return (await namespace.must('sh', ['-c', script])).stdout.trim()
}
