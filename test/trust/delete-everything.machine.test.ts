import { expect, test } from 'vitest'
import { createAuthority, rootlingIn } from '../helpers/rootling.ts'
import { namespaceUnavailable } from '../helpers/namespace.ts'
import { testNamespace } from '../helpers/test-namespace.ts'
import { command } from '../helpers/built.ts'

const why = namespaceUnavailable()
const skipped = why === null ? '' : ` (skipped: ${why})`

test.skipIf(why !== null)(
  `uninstall --delete-ca ends the daemon, deletes its service, and lists what stays${skipped}`,
  async () => {
    const namespace = await testNamespace()
    await createAuthority(namespace)
    const rootling = (...args: string[]) =>
      namespace.run(process.execPath, [command, ...args], { env: { XDG_RUNTIME_DIR: '/nowhere' } })
    const { home } = namespace
    await rootling('issue', 'localhost', '--out-dir', `${home}/tls`)
    const started = await rootling(
      ...['daemon', 'start', '--json', '--acme-port=0', '--revocation-port=0'],
    )
    const { pid } = JSON.parse(started.stdout) as { pid: number }
    // No manager of services runs here, so the daemon is started again as it was.
    await rootling('daemon', 'install')
    const unit = `${home}/.config/systemd/user/rootling.service`
    expect(await namespace.readFile(unit)).toContain('ExecStart=')
    const running = JSON.parse((await rootling('daemon', 'status', '--json')).stdout) as {
      pid: number
    }
    expect(running.pid).not.toBe(pid)
    const removed = await rootling('uninstall', '--delete-ca', '--yes', '--stores', 'nss')
    expect(removed.stderr).toContain(`The daemon (pid ${running.pid}) was stopped.\n`)
    expect(removed.stderr).toContain(
      'Deleted its service ~/.config/systemd/user/rootling.service.\n',
    )
    expect(removed.stderr).toContain(
      `Left, of certificates that it issued and that nobody trusts any more:\n`,
    )
    expect(removed.stderr).toContain('  ~/tls/localhost.pem\n')
    expect(removed.stderr).toContain('  ~/tls/localhost-key.pem\n')
    expect(removed.exitCode).toBe(0)
    expect(await namespace.readFile(unit)).toBeNull()
    // What is left of a process that has ended has no command line.
    expect((await namespace.readFile(`/proc/${running.pid}/cmdline`)) || null).toBeNull()
  },
)

test.skipIf(why !== null)(
  `a database that install created goes with the last certificate of ours in it${skipped}`,
  async () => {
    const namespace = await testNamespace()
    const rootling = rootlingIn(namespace)
    const { home } = namespace
    const database = `${home}/.local/share/pki/nssdb`
    await rootling.must(['install', '--yes', '--stores', 'nss'])
    expect(await namespace.readFile(`${database}/rootling-created`)).not.toBeNull()
    await namespace.writeFile(`${home}/pw`, 'correct horse\n')
    const password = ['--password-file', `${home}/pw`]
    const client = ['issue', '--client', 'alice@example.test', '--pkcs12', '--out-dir', home]
    await rootling.must([...client, ...password])
    await rootling.must(['install-client', `${home}/alice@example.test-client.p12`, ...password])
    await rootling.must(['uninstall', '--delete-ca', '--yes', '--stores', 'nss'])
    expect(await namespace.readTree(`${home}/.local/share/pki`)).toEqual(
      await namespace.readTree(`${home}/never-there`),
    )
  },
)
