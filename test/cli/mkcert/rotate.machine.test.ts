import { X509Certificate } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { builtPrograms } from '../../helpers/built.ts'
import { namespaceUnavailable, type Namespace } from '../../helpers/namespace.ts'
import { testNamespace } from '../../helpers/test-namespace.ts'
import { findRoot } from '../../helpers/store-contents.ts'
import { killGroup } from '../../helpers/subprocess.ts'
import { mkcertMissing, realMkcert } from './both.ts'

const reason = mkcertMissing() ?? namespaceUnavailable()

// A copy, so that both mentions are of one file; one that was replaced meanwhile is no failure.
const watchScript = `
cd "$1"
while [ ! -e "$1/stop" ]; do
  for file in site api; do
    cp "$file.pem" "$file.seen"
    if openssl verify -CAfile /etc/ssl/certs/ca-certificates.crt -untrusted "$file.seen" \
      "$file.seen" >/dev/null 2>&1; then echo good
    elif cmp -s "$file.pem" "$file.seen"; then echo BAD "$file"; fi
  done
  sleep 0.02
done
`

describe.skipIf(reason !== null)(`rootling ca rotate${reason ? ` (${reason})` : ''}`, () => {
  const built = builtPrograms()

  test('moves from mkcert’s root to a constrained one, and no certificate is refused meanwhile', async () => {
    const world = await adopt()
    const { namespace, work, rootling } = world
    const bundled = ['issue', 'bundled.test', '--pkcs12', '--out-dir', work]
    expect((await rootling(bundled)).exitCode).toBe(0)
    await namespace.writeFile(`${work}/watch.sh`, watchScript)
    const watcher = namespace.run('sh', [`${work}/watch.sh`, work])
    const { stdout } = await rootling(['ca', 'rotate', '--yes', '--json'])
    await namespace.writeFile(`${work}/stop`, '')
    // The password of its .p12 is kept beside it, so that file is renewed too.
    const compare = `cd "$1"
      openssl pkcs12 -in bundled.test.p12 -passin file:bundled.test.p12.password -nokeys -clcerts |
        openssl x509 > in-p12.seen
      openssl x509 -in bundled.test.pem | cmp - in-p12.seen`
    await namespace.must('sh', ['-euc', compare, 'sh', work])
    const watched = (await watcher).stdout.trim().split('\n')
    expect(JSON.parse(stdout)).toMatchObject({
      finished: true,
      warnings: [],
    })
    expect(watched.filter((line) => line !== 'good')).toEqual([])
    expect(watched.length).toBeGreaterThan(10)
    await expectRotated(world)
  })

  test('keeps the old root trusted while a certificate for a name outside needs it', async () => {
    const world = await adopt()
    const { namespace, work, rootling, oldRoot } = world
    const outside = ['issue', 'www.example.com', '--out-dir', work]
    expect((await rootling(outside)).exitCode).toBe(0)
    const stopped = await rootling(['ca', 'rotate', '--yes'])
    expect([stopped.exitCode, stopped.stderr]).toEqual([
      1,
      expect.stringContaining('rootling ca permit www.example.com'),
    ])
    expect(await places(namespace, oldRoot)).toContain('/etc/ssl/certs/ca-certificates.crt')
    expect(await verifies(namespace, `${work}/www.example.com.pem`)).toBe(true)
    expect((await rootling(['ca', 'permit', 'www.example.com', '--yes'])).exitCode).toBe(0)
    expect((await rootling(['ca', 'rotate', '--yes'])).exitCode).toBe(0)
    expect(await verifies(namespace, `${work}/www.example.com.pem`)).toBe(true)
    await expectRotated(world)
  })

  test('can be killed at any point, and ends right when it is run again', async () => {
    const world = await adopt()
    const { namespace, rootling } = world
    const delays: number[] = []
    let finished = false
    for (let round = 0; round < 12 && !finished; round += 1) {
      const delay = Math.round(100 + Math.random() * 500 * (round + 1))
      delays.push(delay)
      const child = namespace.spawn(built.rootling, ['ca', 'rotate', '--yes', '--json'])
      let said = ''
      child.stdout.setEncoding('utf8').on('data', (text: string) => (said += text))
      const ended = new Promise((resolve) => child.once('close', resolve))
      await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, delay))])
      killGroup(child)
      await ended
      finished = said.includes('"finished": true')
      for (const file of ['site.pem', 'api.pem'])
        expect(
          await verifies(namespace, `${world.work}/${file}`),
          `${file} is refused after kills at ${delays.join(', ')} ms`,
        ).toBe(true)
    }
    if (!finished) {
      const { stdout, stderr, exitCode } = await rootling(['ca', 'rotate', '--yes', '--json'])
      const after = `after kills at ${delays.join(', ')} ms: ${stderr}${stdout}`
      expect(exitCode, after).toBe(0)
      expect(JSON.parse(stdout), after).toMatchObject({ finished: true })
    }
    await expectRotated(world)
  })

  interface World {
    readonly namespace: Namespace
    /** Where the certificates `site` and `api` are. */
    readonly work: string
    readonly oldRoot: string
    readonly rootling: (args: readonly string[]) => ReturnType<Namespace['run']>
  }

  /** A machine where the real mkcert was installed, and its CA adopted and used. */
  async function adopt(): Promise<World> {
    const namespace = await testNamespace()
    const work = `${namespace.home}/work`
    const rootling = (args: readonly string[]) => namespace.run(built.rootling, args)
    await namespace.must('mkdir', ['-p', work, `${namespace.home}/.pki/nssdb`])
    const database = `sql:${namespace.home}/.pki/nssdb`
    await namespace.must('certutil', ['-N', '-d', database, '--empty-password'])
    await namespace.must(realMkcert, ['-install'])
    const caroot = (await namespace.must(realMkcert, ['-CAROOT'])).stdout.trim()
    const oldRoot = (await namespace.readFile(`${caroot}/rootCA.pem`)) ?? ''
    await namespace.must(built.rootling, ['ca', 'import'])
    await namespace.must(built.rootling, ['install', '--yes'])
    for (const name of ['site', 'api']) {
      const files = ['--cert-file', `${work}/${name}.pem`, '--key-file', `${work}/${name}-key.pem`]
      await namespace.must(built.rootling, ['issue', `${name}.test`, ...files])
      expect(await verifies(namespace, `${work}/${name}.pem`)).toBe(true)
    }
    return { namespace, work, oldRoot, rootling }
  }

  async function expectRotated({ namespace, work, oldRoot, rootling }: World): Promise<void> {
    expect(await places(namespace, oldRoot), 'the old root is trusted nowhere').toEqual([])
    const { scopes } = JSON.parse((await rootling(['ca', 'list', '--json'])).stdout) as {
      scopes: { name: string; constraints: unknown; rootPath: string }[]
    }
    const local = scopes.find(({ name }) => name === 'local')
    expect(local?.constraints).not.toBeNull()
    const newRoot = (await namespace.readFile(local?.rootPath ?? '')) ?? ''
    const trusted = await places(namespace, newRoot)
    expect(trusted).toContain('/etc/ssl/certs/ca-certificates.crt')
    expect(trusted).toContain(`nss:${namespace.home}/.pki/nssdb`)
    expect(trusted.some((place) => place.startsWith('java:'))).toBe(true)
    for (const name of ['site', 'api']) {
      expect(await verifies(namespace, `${work}/${name}.pem`)).toBe(true)
      const pem = (await namespace.readFile(`${work}/${name}.pem`)) ?? ''
      const key = (await namespace.readFile(`${work}/${name}-key.pem`)) ?? ''
      const certificate = new X509Certificate(pem)
      expect(certificate.issuer).toContain('Rootling issuing')
      const public1 = await namespace.must('openssl', ['pkey', '-pubout'], { input: key })
      expect(certificate.publicKey.export({ type: 'spki', format: 'pem' })).toBe(public1.stdout)
    }
    const { stdout } = await namespace.must('ls', [
      `${namespace.home}/.local/share/rootling/scopes`,
    ])
    expect(stdout).not.toMatch(/\.(?:old|next)/)
    expect((await rootling(['status'])).exitCode).toBe(0)
  }
})

/** Where a root is trusted; neither where its CA keeps it, nor where it is being worked on. */
async function places(namespace: Namespace, root: string): Promise<string[]> {
  const found = await findRoot(namespace, root)
  return found.filter((place) => !place.startsWith(`${namespace.home}/`))
}

async function verifies(namespace: Namespace, file: string): Promise<boolean> {
  const bundle = '/etc/ssl/certs/ca-certificates.crt'
  const args = ['verify', '-CAfile', bundle, '-untrusted', file, file]
  return (await namespace.run('openssl', args)).exitCode === 0
}
