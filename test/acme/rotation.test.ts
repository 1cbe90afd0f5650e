import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { rootlingIn } from '../e2e/rootling.ts'
import { namespaceUnavailable, openNamespace } from '../helpers/namespace.ts'
import { waitFor } from '../helpers/subprocess.ts'

const lego = existsSync('/usr/bin/lego') ? null : '/usr/bin/lego is not installed'
const ip = existsSync('/usr/sbin/ip') ? null : 'ip is not installed'
const obstacle = namespaceUnavailable() ?? ip ?? lego
const skipNote = obstacle === null ? '' : ` [skipped: ${obstacle}]`

it.skipIf(obstacle !== null)(
  `a rotation renews the ACME server’s own certificate, and its clients go on under the new root${skipNote}`,
  async () => {
    const namespace = await openNamespace({ ownLoopback: true })
    onTestFinished(() => namespace.close())
    const rootling = rootlingIn(namespace)
    const stores = ['--yes', '--stores', 'system']
    await rootling.must(['install', ...stores])
    await rootling.must(['daemon', 'start', '--http01-port', '5002'])
    const rootPath = (await rootling.must(['ca', 'path'])).stdout.trim()
    const directory = 'https://localhost:14600/acme/directory'
    const path = join(namespace.home, 'lego')
    const file = join(path, 'certificates', 'app.localhost.crt')
    /** Debian's curl would look into the system store as well. */
    const ask = async (root: string) =>
      (await namespace.run('curl', ['-s', '--capath', '/nowhere', '--cacert', root, directory]))
        .exitCode
    const order = (root: string, ...args: string[]) => {
      const who = ['--server', directory, '--accept-tos', '--email', 'me@example.test']
      const how = ['--path', path, '--domains', 'app.localhost']
      const http = ['--http', '--http.port', '127.0.0.1:5002']
      return namespace.must('/usr/bin/lego', [...who, ...how, ...http, ...args], {
        env: { LEGO_CA_CERTIFICATES: root },
      })
    }
    const verifies = async (root: string) => {
      const args = [
        'verify',
        '-no-CApath',
        '-no-CAstore',
        '-CAfile',
        root,
        '-untrusted',
        file,
        file,
      ]
      return (await namespace.run('openssl', args)).exitCode === 0
    }

    const before = join(namespace.home, 'before.pem')
    await namespace.must('cp', [rootPath, before])
    expect(await ask(before)).toBe(0)
    await order(before, 'run')
    expect(await verifies(before)).toBe(true)

    await rootling.must(['ca', 'rotate', ...stores])
    const after = (await rootling.must(['ca', 'path'])).stdout.trim()
    expect(await namespace.readFile(after)).not.toBe(await namespace.readFile(before))
    await waitFor('the ACME server under the new root', async () =>
      (await ask(after)) === 0 ? true : null,
    )
    // 60: the certificate is not trusted.
    expect(await ask(before)).toBe(60)
    await order(after, 'renew', '--days', '365', '--no-random-sleep')
    expect([await verifies(after), await verifies(before)]).toEqual([true, false])
  },
  120_000,
)
