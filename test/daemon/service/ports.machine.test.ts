import { once } from 'node:events'
import { dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { everyUnit, portSockets, portsUnits } from '../../../src/daemon/service/ports-units.ts'
import { command, ensureBuilt } from '../../helpers/built.ts'
import { hasIpv6Loopback } from '../../helpers/https-server.ts'
import { namespaceUnavailable, type Namespace } from '../../helpers/namespace.ts'
import { killGroup, waitFor, type Finished } from '../../helpers/subprocess.ts'
import { testNamespace } from '../../helpers/test-namespace.ts'
import { notInstalled } from '../../outside/e2e/client.ts'
import { managerUnavailable, startManager } from './user-manager.ts'

// The machine's own systemd is process 1 and cannot be had in a test. In its place root's user manager
// runs the units, in a private network where 443 and 80 are free: it listens, hands sockets over and
// changes users by the same code. The program systemctl leads every call for the system's manager to
// it. What differs: its targets are not those of a machine that starts.

const missing = await Promise.all(['sudo', 'setpriv', 'ss', 'curl'].map(notInstalled))
const obstacle =
  namespaceUnavailable() ?? managerUnavailable() ?? missing.find((each) => each !== null) ?? null
const skipNote = obstacle === null ? '' : ` [skipped: ${obstacle}]`

const uid = 12_345
const runtime = '/run/user/0'
const units = '/etc/systemd/system'

/** Targets that the units name, and no unit of this machine. */
const targets = ['default', 'basic', 'sockets', 'sysinit', 'multi-user', 'shutdown']

/** `systemctl` for the user `ada` and for root through sudo. */
const systemctl = (real: string): string => `#!/bin/sh
if [ "$1" = --user ]; then echo 'Failed to connect to bus: No medium found' >&2; exit 1; fi
if [ "$(id -u)" != 0 ]; then
  case $1 in is-active) exec sudo -n /usr/bin/systemctl "$@";; esac
  echo 'Access denied' >&2; exit 1
fi
export XDG_RUNTIME_DIR=${runtime} SYSTEMD_UNIT_PATH="$(cat /run/unit-path)" HOME="$(cat /run/home)"
exec ${real} --user "$@"
`

interface Ada {
  readonly home: string
  run(program: string, args: readonly string[]): Promise<Finished>
  rootling(...args: string[]): Promise<Finished>
  daemon(...args: string[]): Promise<Finished>
  /** The process of the daemon; `null`: none runs. */
  pid(): Promise<number | null>
  /** What doctor finds about ports. */
  portFindings(): Promise<readonly { code: string; sentence: string; remedy: string }[]>
}

/** A machine whose systemd runs only what is written into its directory of units, and a user on it. */
async function openMachine(): Promise<{ namespace: Namespace; ada: Ada }> {
  ensureBuilt()
  const namespace = await testNamespace({ ownLoopback: true })
  const scratch = dirname(namespace.home)
  const home = join(scratch, 'my home 100% "ada"')
  const own = join(namespace.home, '.config/systemd/user')
  const real = join(scratch, 'systemctl')
  const env = { XDG_RUNTIME_DIR: runtime, SYSTEMD_UNIT_PATH: `${own}:/run/targets` }
  await namespace.must('sh', [
    '-euc',
    `for directory in /run /root /var/tmp ${units}; do mount -t tmpfs -o mode=0755 tmpfs $directory; done
    mkdir -p /run/systemd/system /run/targets ${dirname(own)}
    mkdir -p -m 0700 ${runtime}
    ln -s ${units} ${own}
    for target in ${targets.join(' ')}; do
      printf '[Unit]\\nDescription=%s\\nDefaultDependencies=no\\n' $target > /run/targets/$target.target
    done
    echo ${env.SYSTEMD_UNIT_PATH} > /run/unit-path
    echo ${namespace.home} > /run/home
    cp /usr/bin/systemctl ${real}
    mkdir -m 0700 "$1"; chown ${uid}:${uid} "$1"
    printf 'ada:*:${uid}:${uid}::%s:/bin/sh\\n' "$1" >> /etc/passwd
    printf 'ada:x:${uid}:\\n' >> /etc/group
    mkdir -p /etc/sudoers.d
    printf 'ada ALL=(ALL) NOPASSWD: ALL\\n' > /etc/sudoers.d/ada`,
    'sh',
    home,
  ])
  await startManager(namespace, env)
  // From here on, systemctl leads to that manager.
  await namespace.writeFile('/run/systemctl', systemctl(real))
  await namespace.must('sh', [
    '-c',
    'chmod 0755 /run/systemctl && mount --bind /run/systemctl /usr/bin/systemctl',
  ])
  const run: Ada['run'] = (program, args) => {
    const as = ['--reuid', `${uid}`, '--regid', `${uid}`, '--clear-groups', 'env']
    return namespace.run('setpriv', [
      ...as,
      `HOME=${home}`,
      `TMPDIR=${home}`,
      'USER=ada',
      program,
      ...args,
    ])
  }
  const rootling: Ada['rootling'] = (...args) => run(process.execPath, [command, ...args])
  const daemon: Ada['daemon'] = (...args) => rootling('daemon', ...args)
  const ada: Ada = {
    home,
    run,
    rootling,
    daemon,
    async pid() {
      const { stdout } = await daemon('status', '--json')
      return (JSON.parse(stdout) as { pid?: number }).pid ?? null
    },
    async portFindings() {
      const { stdout } = await rootling('doctor', '--json')
      const { findings } = JSON.parse(stdout) as {
        findings: { code: string; sentence: string; remedy: string }[]
      }
      return findings
        .filter(({ code }) => code.includes('port'))
        .map(({ code, sentence, remedy }) => ({ code, sentence, remedy }))
    },
  }
  const made = await rootling('install', '--stores', 'none', '--yes')
  expect(made).toMatchObject({ exitCode: 0 })
  return { namespace, ada }
}

/** The addresses with ports below 1024 at which something listens. */
async function listening(namespace: Namespace): Promise<string[]> {
  const { stdout } = await namespace.must('ss', ['-Hltn'])
  const places = stdout.split('\n').flatMap((line) => line.trim().split(/\s+/)[3] ?? [])
  return places.filter((place) => /:(?:80|443)$/.test(place)).toSorted()
}

/** How many listening sockets a process holds below 1024, and as which user it runs. */
async function heldBy(
  namespace: Namespace,
  pid: number,
): Promise<{ uid: number; sockets: number }> {
  const { stdout } = await namespace.must('ss', ['-Hltnp'])
  const rows = stdout.split('\n').filter((line) => /:(?:80|443) /.test(line))
  const status = (await namespace.readFile(`/proc/${pid}/status`)) ?? ''
  return {
    uid: Number(/^Uid:\s+(\d+)/m.exec(status)?.[1]),
    sockets: rows.filter((line) => line.includes(`pid=${pid},`)).length,
  }
}

describe.skipIf(obstacle !== null)(`daemon install --ports${skipNote}`, () => {
  const everywhere = hasIpv6Loopback()
    ? ['127.0.0.1:443', '127.0.0.1:80', '[::1]:443', '[::1]:80']
    : ['127.0.0.1:443', '127.0.0.1:80']
  const count = everywhere.length

  test('gives a user’s daemon both ports, keeps them over its end, and takes all back', async () => {
    const { namespace, ada } = await openMachine()
    await ada.daemon('start', '--acme-port=0', '--revocation-port=0')
    const byHand = await ada.pid()

    const dry = await ada.daemon('install', '--ports', '--dry-run', '--json')
    expect(dry).toMatchObject({ exitCode: 0 })
    const { commands } = JSON.parse(dry.stdout) as { commands: string[] }
    expect(commands.map((each) => each.split('\n')[0])).toEqual([
      ...everyUnit.map(
        ({ name }) => `sudo /usr/bin/install -D -m 0644 /dev/stdin ${units}/${name} <<'EOF'`,
      ),
      'sudo /usr/bin/systemctl daemon-reload',
      `sudo /usr/bin/systemctl enable ${everyUnit.map(({ name }) => name).join(' ')}`,
      'sudo /usr/bin/systemctl stop rootling.service',
      'sudo /usr/bin/systemctl restart rootling-https.socket rootling-http.socket',
      'sudo /usr/bin/systemctl start rootling.service',
    ])
    expect(await listening(namespace)).toEqual([])
    expect(await ada.pid()).toBe(byHand)

    const installed = await ada.daemon('install', '--ports')
    expect(installed).toMatchObject({ exitCode: 0, stdout: `${units}/rootling.service\n` })
    expect(installed.stderr).toContain('sudo /usr/bin/systemctl daemon-reload')
    expect(installed.stderr).toContain('systemd listens on 443 and 80 of this machine alone')
    expect(await listening(namespace)).toEqual(everywhere.toSorted())
    const first = await waitFor('the service', () => ada.pid())
    expect(first).not.toBe(byHand)
    expect(await heldBy(namespace, first)).toEqual({ uid, sockets: count })
    expect(await ada.portFindings()).toEqual([])

    // It is killed: systemd goes on to listen, and starts it anew with the same sockets.
    await namespace.must('kill', ['-9', String(first)])
    expect(await listening(namespace)).toEqual(everywhere.toSorted())
    const second = await waitFor('the next daemon', () => ada.pid())
    expect(second).not.toBe(first)
    expect(await heldBy(namespace, second)).toEqual({ uid, sockets: count })

    // There is one daemon, so another service of it is refused.
    expect(await ada.daemon('install')).toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining('The system’s service manager runs this daemon already'),
    })

    // Over itself.
    expect(await ada.daemon('install', '--ports')).toMatchObject({ exitCode: 0 })
    const third = await waitFor('the service', () => ada.pid())
    expect(await heldBy(namespace, third)).toEqual({ uid, sockets: count })

    // Stopped, it is started by the next client.
    expect(await ada.daemon('stop')).toMatchObject({ exitCode: 0 })
    expect(await ada.pid()).toBeNull()
    await ada.run('curl', ['-s', '--max-time', '1', 'http://127.0.0.1/'])
    const fourth = await waitFor('the daemon', () => ada.pid())
    expect(await heldBy(namespace, fourth)).toEqual({ uid, sockets: count })

    // Started by hand, it has no socket from systemd.
    const sockets = ['rootling-https.socket', 'rootling-http.socket']
    await ada.run('sudo', ['-n', 'systemctl', 'stop', 'rootling.service', ...sockets])
    await ada.daemon('start')
    expect((await ada.portFindings()).map(({ code, remedy }) => [code, remedy])).toEqual(
      sockets.map((unit) => ['port-not-listened', `sudo systemctl restart ${unit}`]),
    )
    await ada.run('sudo', ['-n', 'systemctl', 'start', ...sockets])
    const lacking = await ada.pid()
    expect(await ada.portFindings()).toEqual(
      [443, 80].map((port) => ({
        code: 'daemon-without-port',
        sentence: `systemd listens on port ${port}, and the daemon (process ${lacking}), which was started by hand, did not get that from it.`,
        remedy: 'rootling daemon stop && sudo systemctl start rootling.service',
      })),
    )

    const removed = await ada.daemon('uninstall')
    expect(removed).toMatchObject({
      exitCode: 0,
      stderr: expect.stringContaining('no longer starts at login'),
    })
    expect(await ada.pid()).toBeNull()
    expect(await listening(namespace)).toEqual([])
    expect((await namespace.must('find', [units, '-name', 'rootling*'])).stdout).toBe('')
    expect(await ada.daemon('uninstall')).toMatchObject({
      exitCode: 0,
      stderr: 'The daemon was not installed.\n',
    })
  })

  /** Has a program of Python listen in the machine, as another user if one is given; ends it. */
  async function occupy(namespace: Namespace, port: number, other?: number) {
    const script = `
import socket, os, time
one = socket.socket(); one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
one.bind(('127.0.0.1', ${port})); one.listen(1)
${other === undefined ? '' : `os.setgid(${other}); os.setuid(${other})`}
time.sleep(3600)`
    const child = namespace.spawn('/usr/bin/python3', ['-c', script])
    await waitFor('the program', async () =>
      (await listening(namespace)).length > 0 ? true : null,
    )
    return async () => {
      killGroup(child)
      await once(child, 'close')
    }
  }

  test('serves an app at its name without a port, and redirects to it', async () => {
    const { namespace, ada } = await openMachine()
    const app = 3_000
    const script = `require('http').createServer((q, r) => r.end(q.headers.host + q.url)).listen(${app}, '127.0.0.1')`
    namespace.spawn(process.execPath, ['-e', script])
    expect(await ada.daemon('install', '--ports')).toMatchObject({ exitCode: 0 })
    expect(await ada.rootling('proxy', 'add', 'shop', `${app}`)).toMatchObject({
      exitCode: 0,
      stdout: 'https://shop.localhost/\n',
    })
    const root = join(ada.home, '.local/share/rootling/scopes/local/root.pem')
    const curl = (url: string, address: string) => {
      const resolve = [443, 80].flatMap((port) => [
        '--resolve',
        `shop.localhost:${port}:${address}`,
      ])
      return ada.run('curl', ['-sSL', '--max-time', '60', '--cacert', root, ...resolve, url])
    }
    const loopback = hasIpv6Loopback() ? ['127.0.0.1', '[::1]'] : ['127.0.0.1']
    for (const address of loopback)
      for (const protocol of ['https', 'http'])
        expect(await curl(`${protocol}://shop.localhost/a?b`, address)).toMatchObject({
          exitCode: 0,
          stdout: 'shop.localhost/a?b',
        })
    const before = await ada.pid()
    expect(await heldBy(namespace, before ?? 0)).toEqual({ uid, sockets: count })

    // A restart is systemd's, and so is a start after a stop: both have the sockets.
    expect(await ada.daemon('restart', '--acme-port=0')).toMatchObject({ exitCode: 0 })
    const after = await ada.pid()
    expect(after).not.toBe(before)
    expect(await heldBy(namespace, after ?? 0)).toEqual({ uid, sockets: count })
    expect(await ada.daemon('stop')).toMatchObject({ exitCode: 0 })
    expect(await ada.daemon('start')).toMatchObject({ exitCode: 0 })
    expect(await heldBy(namespace, (await ada.pid()) ?? 0)).toEqual({ uid, sockets: count })

    // A request while the daemon is away waits for it.
    await ada.daemon('stop')
    expect(await curl('https://shop.localhost/late', '127.0.0.1')).toMatchObject({
      exitCode: 0,
      stdout: 'shop.localhost/late',
    })

    // Without a route, a client is told so; it does not wait for ever.
    expect(await ada.rootling('proxy', 'remove', 'shop')).toMatchObject({ exitCode: 0 })
    const nobody = await curl('https://shop.localhost/', '127.0.0.1')
    expect(nobody.exitCode).toBe(0)
    expect(nobody.stdout).toContain('shop.localhost')
    expect(await ada.portFindings()).toEqual([])
  })

  test('says who has port 443, and leaves the daemon as it was', async () => {
    const { namespace, ada } = await openMachine()
    await ada.daemon('start', '--acme-port=0', '--revocation-port=0')
    const before = await ada.pid()
    await occupy(namespace, 443, 33)
    // A socket keeps the user who made it.
    expect(await ada.daemon('install', '--ports')).toMatchObject({
      exitCode: 1,
      stderr: `Error: A program of root already listens on 127.0.0.1:443.\n  → End that program, then: rootling daemon install --ports\n`,
    })
    expect(await ada.pid()).toBe(before)
    expect((await namespace.must('ls', [units])).stdout).toBe('')
  })

  test('leaves port 80 out where another program has it, and takes it later', async () => {
    const { namespace, ada } = await openMachine()
    const free = await occupy(namespace, 80)
    const installed = await ada.daemon('install', '--ports', '--json')
    expect(installed.exitCode).toBe(0)
    expect(JSON.parse(installed.stdout)).toMatchObject({
      enabled: true,
      running: true,
      way: 'units',
      ports: [443],
      warnings: ['A program of root already listens on 127.0.0.1:80. So port 80 is left out.'],
    })
    expect((await namespace.must('ls', [units])).stdout).not.toContain('rootling-http.socket')
    expect(await ada.portFindings()).toEqual([])
    await free()
    expect(await ada.daemon('install', '--ports')).toMatchObject({ exitCode: 0 })
    expect(await listening(namespace)).toEqual(everywhere.toSorted())
    // And out again.
    await namespace.must('systemctl', ['stop', 'rootling.service', 'rootling-http.socket'])
    await occupy(namespace, 80)
    const found = await ada.portFindings()
    expect(found.map(({ code, sentence }) => [code, sentence])).toEqual([
      [
        'port-held',
        'The daemon was installed with this port, and a program of root listens on 127.0.0.1:80.',
      ],
    ])
    expect(await ada.daemon('install', '--ports')).toMatchObject({ exitCode: 0 })
    expect((await namespace.must('find', [units, '-name', '*-http.socket'])).stdout).toBe('')
    expect(await ada.portFindings()).toEqual([])
  })

  test('replaces and deletes no unit of a person or of another user', async () => {
    const { namespace, ada } = await openMachine()
    const https = `${units}/rootling-https.socket`
    const own = '[Socket]\nListenStream=127.0.0.1:443\n'
    await namespace.writeFile(https, own)
    expect(await ada.daemon('install', '--ports')).toMatchObject({
      exitCode: 1,
      stderr: `Error: ${https} was not written by rootling daemon install --ports, or was changed since.\n  → sudo mv ${https} ${https}.old\n`,
    })
    expect(await namespace.readFile(https)).toBe(own)
    await namespace.must('rm', [https])

    const command = { program: '/bin/true', args: [], home: '/home/eve/state' }
    const options = { command, uid: 77, sockets: portSockets, ipv6: false }
    for (const { name, contents } of portsUnits(options))
      await namespace.writeFile(`${units}/${name}`, contents)
    const before = await namespace.readTree(units)
    expect(await ada.daemon('install', '--ports')).toMatchObject({
      exitCode: 1,
      stderr: `Error: Ports 443 and 80 of this machine belong to the daemon of the user 77 with its state in /home/eve/state.\n  → As that user: ROOTLING_HOME=/home/eve/state rootling daemon uninstall\n`,
    })
    expect(await ada.daemon('uninstall')).toMatchObject({
      stderr: 'The daemon was not installed.\n',
    })
    expect(await ada.portFindings()).toEqual([])
    expect(await namespace.readTree(units)).toEqual(before)
  })

  test('takes its units back where systemd refuses them, and says what systemd said', async () => {
    const { namespace, ada } = await openMachine()
    await ada.daemon('start', '--acme-port=0', '--revocation-port=0')
    const real = await namespace.readFile('/usr/bin/systemctl')
    const failing = real?.replace(
      'if [',
      `[ "$1" = enable ] && { echo 'no room' >&2; exit 1; }\nif [`,
    )
    await namespace.must('sh', ['-c', 'cat > /usr/bin/systemctl'], { input: failing ?? '' })
    const { exitCode, stderr } = await ada.daemon('install', '--ports')
    expect(exitCode).toBe(1)
    expect(stderr).toContain(
      `Error: systemctl enable ${everyUnit.map(({ name }) => name).join(' ')} failed: no room`,
    )
    expect((await namespace.must('ls', [units])).stdout).toBe('')
    expect(await ada.pid()).not.toBeNull()
    expect(await listening(namespace)).toEqual([])
  })

  test('needs a password where nobody can type one, and then does nothing', async () => {
    const { namespace, ada } = await openMachine()
    await namespace.must('rm', ['/etc/sudoers.d/ada'])
    await ada.daemon('start', '--acme-port=0', '--revocation-port=0')
    const before = await ada.pid()
    expect(await ada.daemon('install', '--ports')).toMatchObject({
      exitCode: 3,
      stderr: expect.stringMatching(
        /nobody can type one\.\n {2}→ rootling daemon install --ports\n$/,
      ),
    })
    expect(await ada.pid()).toBe(before)
    expect((await namespace.must('ls', [units])).stdout).toBe('')
  })

  test('is not needed where ports from 80 on are everybody’s, and offered where no systemd is', async () => {
    const { namespace, ada } = await openMachine()
    const port = '/proc/sys/net/ipv4/ip_unprivileged_port_start'
    await namespace.must('rmdir', ['/run/systemd/system'])
    expect(await ada.daemon('install', '--ports')).toMatchObject({
      exitCode: 1,
      stderr:
        'Error: Only root may listen on ports 443 and 80 here, and no systemd runs that could hand them over.\n' +
        '  → To let every user of this machine listen from port 80 on: sudo sysctl net.ipv4.ip_unprivileged_port_start=80\n',
    })
    await namespace.must('sh', ['-c', `echo 80 > ${port}`])
    const { exitCode, stdout } = await ada.daemon('install', '--ports', '--dry-run', '--json')
    expect(exitCode).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({
      way: 'plain',
      ports: [443, 80],
      commands: ['rootling daemon install'],
    })
  })
})
