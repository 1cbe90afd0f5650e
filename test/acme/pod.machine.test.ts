import { X509Certificate } from 'node:crypto'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { command } from '../helpers/built.ts'
import { namespaceUnavailable, type Namespace } from '../helpers/namespace.ts'
import { createAuthority } from '../helpers/rootling.ts'
import { waitFor } from '../helpers/subprocess.ts'
import { testNamespace } from '../helpers/test-namespace.ts'

// A pod of a local cluster: a network of its own, joined to this machine's by a pair of virtual
// devices, as Docker joins a container. Its ACME client is lego.
const absent = (program: string) => (existsSync(program) ? null : `${program} is not installed`)
const reason = namespaceUnavailable() ?? absent('/usr/sbin/ip') ?? absent('/usr/bin/lego')
const skipped = reason === null ? '' : ` [skipped: ${reason}]`

const host = '172.18.0.1'
const pod = '172.18.0.2'
const directory = `https://${host}:14600/acme/directory`

interface EabSecret {
  readonly stringData: { readonly secret: string }
}

interface AcmeIssuer {
  readonly spec: {
    readonly acme: {
      readonly server: string
      readonly caBundle: string
      readonly externalAccountBinding: { readonly keyID: string }
    }
  }
}

/** Joins a new network to that of the namespace; returns how to run programs in it. */
async function joinPod(namespace: Namespace) {
  const keeper = namespace.spawn('unshare', ['--net', 'sh', '-c', 'echo $$; read -r rest'])
  let said = ''
  keeper.stdout.setEncoding('utf8').on('data', (text: string) => (said += text))
  const pid = await waitFor('the network of the pod', () => /^(\d+)\n/.exec(said)?.[1] ?? null)
  const ip = (line: string) => namespace.must('ip', line.split(' '))
  await ip(`link add host0 type veth peer name eth0 netns ${pid}`)
  await ip(`address add ${host}/24 dev host0`)
  await ip('link set host0 up')
  const inPod = (program: string, args: readonly string[], env: Record<string, string> = {}) =>
    namespace.run('nsenter', ['--target', pid, '--net', program, ...args], { env })
  for (const line of ['link set lo up', `address add ${pod}/24 dev eth0`, 'link set eth0 up'])
    expect(await inPod('ip', line.split(' '))).toMatchObject({ exitCode: 0 })
  return inPod
}

test.skipIf(reason !== null)(
  `a pod gets a certificate by http-01, as the printed issuer tells it${skipped}`,
  async () => {
    const namespace = await testNamespace({ ownLoopback: true })
    await createAuthority(namespace)
    const inPod = await joinPod(namespace)
    const rootling = async (...args: string[]) => {
      const all = [command, ...args, '--json']
      const { stdout } = await namespace.must(process.execPath, all)
      return JSON.parse(stdout) as Record<string, unknown>
    }
    const root = String((await rootling('ca', 'path'))['path'])
    // The name that is proved leads to the pod, as one of a cluster leads to its ingress.
    await namespace.addHost('shop.test', pod)
    const visit = (url: string, ...args: string[]) =>
      inPod('curl', ['-sS', '--capath', '/nowhere', '--cacert', root, ...args, url])
    const lego = (path: string, ...eab: string[]) => order('shop.test', path, ...eab)
    const order = (domain: string, path: string, ...eab: string[]) => {
      const who = ['--server', directory, '--email', 'me@example.test', '--accept-tos', ...eab]
      const where = ['--path', join(namespace.home, path), '--domains', domain]
      const how = ['--http', '--http.port', `${pod}:80`, 'run']
      return inPod('/usr/bin/lego', [...who, ...where, ...how], { LEGO_CA_CERTIFICATES: trusted })
    }

    const trusted = join(namespace.home, 'ca-bundle.pem')

    // On loopback alone, as by default, no pod reaches it.
    await rootling('daemon', 'start')
    expect((await visit(directory)).stderr).toMatch(/connect|refused/)

    const { listening } = await rootling('daemon', 'restart', '--acme-host', host)
    expect(listening).toContainEqual({ what: 'ACME', url: directory })
    const meta = JSON.parse((await visit(directory)).stdout) as Record<string, unknown>
    expect(meta).toMatchObject({
      newOrder: `https://${host}:14600/acme/new-order`,
      meta: { externalAccountRequired: true },
    })
    // This machine goes on at the URL that it knows.
    const local = await namespace.must('curl', [
      ...['-sS', '--cacert', root, 'https://localhost:14600/acme/directory'],
    ])
    expect(JSON.parse(local.stdout)).toMatchObject({
      newOrder: 'https://localhost:14600/acme/new-order',
    })

    // A pod that names localhost as the host is answered as another machine all the same.
    const named = await visit(
      'https://localhost:14600/acme/directory',
      ...['--connect-to', `localhost:14600:${host}:14600`],
    )
    expect(JSON.parse(named.stdout)).toMatchObject({
      newOrder: `https://${host}:14600/acme/new-order`,
    })

    // What the printed issuer tells cert-manager.
    const { objects } = (await rootling('kubernetes')) as { objects: [EabSecret, AcmeIssuer] }
    const [{ stringData }, { spec }] = objects
    expect(spec.acme.server).toBe(directory)
    await namespace.writeFile(trusted, Buffer.from(spec.acme.caBundle, 'base64').toString())
    const { keyID } = spec.acme.externalAccountBinding
    const eab = ['--eab', '--kid', keyID, '--hmac', stringData.secret]
    const unbound = await lego('unbound')
    expect(unbound.exitCode).not.toBe(0)
    expect(unbound.stdout + unbound.stderr).toMatch(/external account binding/i)
    const loopback = await order('localhost', 'loopback', ...eab)
    expect(loopback.exitCode).not.toBe(0)
    expect(loopback.stdout + loopback.stderr).toMatch(/rejectedIdentifier.*localhost names the/)
    // The challenge is met on another machine, which the daemon does not ask unless it may.
    const remote = await lego('refused', ...eab)
    expect(remote.exitCode).not.toBe(0)
    expect(remote.stdout + remote.stderr).toContain('--allow-remote')

    await rootling('daemon', 'restart', '--allow-remote')
    const issued = await lego('issued', ...eab)
    expect(issued, issued.stdout + issued.stderr).toMatchObject({ exitCode: 0 })
    const file = join(namespace.home, 'issued/certificates/shop.test.crt')
    expect(new X509Certificate((await namespace.readFile(file)) ?? '').subjectAltName).toBe(
      'DNS:shop.test',
    )
    const verify = ['verify', '-CAfile', root, '-untrusted', file, file]
    expect((await namespace.must('openssl', verify)).stdout).toBe(`${file}: OK\n`)

    // Back to this machine alone.
    await rootling('daemon', 'restart', '--acme-host', 'localhost')
    expect((await visit(directory)).stderr).toMatch(/connect|refused/)
    await rootling('daemon', 'stop')
  },
)
