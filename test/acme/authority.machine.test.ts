import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { rootlingIn } from '../helpers/rootling.ts'
import { namespaceUnavailable } from '../helpers/namespace.ts'
import { testNamespace } from '../helpers/test-namespace.ts'
import { waitFor } from '../helpers/subprocess.ts'

const absent = (program: string) => (existsSync(program) ? null : `${program} is not installed`)
const programs = ['/usr/sbin/ip', '/usr/bin/lego', '/usr/bin/certutil']
const obstacle =
  namespaceUnavailable() ?? programs.map(absent).find((reason) => reason !== null) ?? null
const skipNote = obstacle === null ? '' : ` [skipped: ${obstacle}]`
const system = ['--yes', '--stores', 'system']
/** Costs less, where nobody looks into the system store. */
const browsers = ['--yes', '--stores', 'nss']
const directory = 'https://localhost:14600/acme/directory'

/** An authority that these stores of a private machine trust, and its daemon. */
async function open(stores: readonly string[]) {
  const namespace = await testNamespace({ ownLoopback: true })
  const rootling = rootlingIn(namespace)
  const database = `${namespace.home}/.pki/nssdb`
  await namespace.must('mkdir', ['-p', database])
  await namespace.must('certutil', ['-N', '-d', `sql:${database}`, '--empty-password'])
  await rootling.must(['install', ...stores])
  await rootling.must(['daemon', 'start', '--http01-port', '5002'])
  const path = join(namespace.home, 'lego')
  return {
    namespace,
    rootling,
    rootOf: async (...scope: string[]) =>
      (await rootling.must(['ca', 'path', ...scope])).stdout.trim(),
    /** `null`: lego looks into the system store. */
    lego(root: string | null, name: string, ...args: string[]) {
      const who = ['--server', directory, '--accept-tos', '--email', 'me@example.test']
      const how = ['--http', '--http.port', '127.0.0.1:5002', '--path', path, '--domains', name]
      const env = root === null ? {} : { LEGO_CA_CERTIFICATES: root }
      return namespace.run('/usr/bin/lego', [...who, ...how, ...args], { env })
    },
    /** Whether what lego keeps for a name goes back to a root. */
    async verifies(name: string, root: string): Promise<boolean> {
      const file = join(path, 'certificates', `${name}.crt`)
      const args = ['-no-CApath', '-no-CAstore', '-CAfile', root, '-untrusted', file, file]
      return (await namespace.run('openssl', ['verify', ...args])).exitCode === 0
    },
  }
}

const certbot = obstacle ?? absent('/usr/bin/certbot')
const certbotNote = certbot === null ? '' : ` [skipped: ${certbot}]`
test.skipIf(certbot !== null)(
  `lego and certbot find the root in the system store, once it was installed${certbotNote}`,
  async () => {
    const { namespace, rootling, rootOf, lego, verifies } = await open(system)
    const issued = await lego(null, 'app.localhost', 'run')
    expect(issued, issued.stderr).toMatchObject({ exitCode: 0 })
    expect(await verifies('app.localhost', await rootOf())).toBe(true)
    const who = ['--server', directory, '--agree-tos', '-m', 'me@example.test', '--no-eff-email']
    const how = ['-n', '--standalone', '--http-01-port', '5002', '-d', 'app.localhost']
    const ended = await namespace.run('/usr/bin/certbot', ['certonly', ...who, ...how])
    expect(ended, ended.stderr).toMatchObject({ exitCode: 0 })
    await rootling.must(['uninstall', ...system])
    const untrusted = await lego(null, 'other.localhost', 'run')
    expect(untrusted.exitCode).not.toBe(0)
    expect(untrusted.stderr + untrusted.stdout).toContain('unknown authority')
  },
)

describe.skipIf(obstacle !== null)(`while the daemon runs${skipNote}`, () => {
  test('a rotation renews the ACME server’s own certificate, and clients go on under the new root', async () => {
    const { namespace, rootling, rootOf, lego, verifies } = await open(browsers)
    // Debian's curl would look into the system store as well.
    const ask = async (root: string) =>
      (await namespace.run('curl', ['-s', '--capath', '/nowhere', '--cacert', root, directory]))
        .exitCode
    const before = join(namespace.home, 'before.pem')
    await namespace.must('cp', [await rootOf(), before])
    expect(await ask(before)).toBe(0)
    expect(await lego(before, 'app.localhost', 'run')).toMatchObject({ exitCode: 0 })
    expect(await verifies('app.localhost', before)).toBe(true)

    await rootling.must(['ca', 'rotate', ...browsers])
    const after = await rootOf()
    expect(await namespace.readFile(after)).not.toBe(await namespace.readFile(before))
    await waitFor('the ACME server under the new root', async () =>
      (await ask(after)) === 0 ? true : null,
    )
    // 60: the certificate is not trusted.
    expect(await ask(before)).toBe(60)
    const renew = ['renew', '--days', '365', '--no-random-sleep']
    expect(await lego(after, 'app.localhost', ...renew)).toMatchObject({ exitCode: 0 })
    expect(await verifies('app.localhost', after)).toBe(true)
    expect(await verifies('app.localhost', before)).toBe(false)
  })

  test('a name that was refused is served once it is permitted by the command of the refusal', async () => {
    const { namespace, rootling, rootOf, lego, verifies } = await open(browsers)
    const root = await rootOf()
    await namespace.addHost('dev.example.com', '127.0.0.1')
    const refused = await lego(root, 'dev.example.com', 'run')
    expect(refused.exitCode).not.toBe(0)
    const [, told = ''] = /rootling (ca permit [\w.-]+)/.exec(refused.stderr + refused.stdout) ?? []
    expect(told).toBe('ca permit dev.example.com')
    await rootling.must([...told.split(' '), ...browsers, '--name', 'work'])
    expect(await lego(root, 'dev.example.com', 'run')).toMatchObject({ exitCode: 0 })
    expect(await verifies('dev.example.com', await rootOf('work'))).toBe(true)
    expect(await verifies('dev.example.com', await rootOf('local'))).toBe(false)
  })
})
