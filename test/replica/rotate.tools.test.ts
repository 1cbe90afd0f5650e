import { X509Certificate } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { certIdOf } from '../acme/cert-id.ts'
import { RawClient } from '../acme/raw.ts'
import { obtain, startResponder } from '../acme/responder.ts'
import { waitFor } from '../helpers/subprocess.ts'
import { balance, fetchText, useTeam } from './team.ts'

const team = useTeam()

/** The certificates of a PEM file. */
const certificatesOf = (pem: string): X509Certificate[] =>
  (pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\n?/g) ?? []).map(
    (one) => new X509Certificate(one),
  )

const fingerprintOf = ({ fingerprint256 }: X509Certificate): string =>
  fingerprint256.replaceAll(':', '').toLowerCase()

/** Whether OpenSSL verifies a chain by these roots. */
async function verifies(chain: string, roots: string): Promise<boolean> {
  const [leaf, ...issuers] = certificatesOf(chain)
  const files = { roots, leaf: String(leaf), issuers: issuers.join('') }
  for (const [name, text] of Object.entries(files)) await writeFile(team.file(`${name}.pem`), text)
  const [ca, untrusted, subject] = ['roots', 'issuers', 'leaf'].map((name) =>
    team.file(`${name}.pem`),
  ) as [string, string, string]
  const line = ['verify', '-x509_strict', '-CAfile', ca, '-untrusted', untrusted, subject]
  return (await team.program('openssl', line)).exitCode === 0
}

test(
  'two replicas change to the next authority while a client orders, and no order fails',
  { timeout: 900_000 },
  async () => {
    const { owner, serving, grant } = await team.database()
    const permit = ['--permit', 'localhost', '--force', ...grant]
    const made = await team.json([
      ...['server', 'init', '--database', owner],
      ...[...permit, ...team.keyFile()],
    ])
    const responder = await startResponder()
    onTestFinished(() => responder.close())
    const ports: number[] = []
    const front = await balance(ports)
    const url = `https://localhost:${front}`
    const options = [...team.keyFile(), '--http01-port', String(responder.port)]
    const revocation = ['--revocation-url', 'http://localhost:1']
    const replicas = await Promise.all(
      ['a', 'b'].map((name) => team.startReplica(serving, url, name, [...options, ...revocation])),
    )
    ports.push(...replicas.map(({ port }) => port))
    const rotate = (...args: string[]) =>
      team.json(['server', 'rotate', '--database', serving, ...args])
    const withKey = (...args: string[]) => rotate(...args, ...team.keyFile())

    const before = await fetchText(front, '/roots.pem', String(made['root']))
    expect(before).toBe(made['root'])
    const client = new RawClient(`${url}/acme/directory`, before)
    client.agent.options.keepAlive = false
    onTestFinished(() => client.close())
    await client.start()
    const chains: string[] = []
    const links: string[] = []
    let orders = true
    const ordering = (async () => {
      for (let i = 0; orders; i++) {
        const { chain, certificate } = await obtain(client, [`n${i}.localhost`], responder)
        chains.push(chain)
        links.push(certificate)
      }
    })()
    // A failed order is seen where the test waits for the next one.
    ordering.catch(() => undefined)
    const more = async (count: number): Promise<void> => {
      const enough = chains.length + count
      await waitFor('more certificates', () =>
        Promise.race([
          ordering.then(() => true),
          sleep(100).then(() => (chains.length >= enough ? true : null)),
        ]),
      )
    }
    await more(3)

    expect(await rotate()).toMatchObject({ next: null, retired: [] })
    const prepared = await withKey('--prepare')
    expect(prepared).toMatchObject({
      changed: true,
      current: { name: 'team', fingerprint: made['fingerprint'] },
      next: { name: 'team-2', permitted: ['localhost'] },
    })
    expect(await withKey('--prepare')).toMatchObject({ changed: false, next: prepared['next'] })
    const early = await team.rootling([
      ...['server', 'rotate', '--database', serving, '--activate'],
      ...team.keyFile(),
    ])
    expect(early).toMatchObject({ exitCode: 2 })
    expect(early.stderr).toContain('machines may not trust it yet')
    expect(early.stderr).toContain('--activate --now')

    // Machines trust the next root before anything is signed by it.
    const roots = await fetchText(front, '/roots.pem', before)
    const next = String(prepared['next'].fingerprint)
    expect(certificatesOf(roots).map(fingerprintOf)).toEqual([made['fingerprint'], next])
    const trust = ['trust', url, '--dry-run', '--stores', 'nss', '--fingerprint']
    expect(await team.json([...trust, next])).toMatchObject({ dryRun: true })
    expect((await team.rootling([...trust, 'ab'.repeat(32)])).exitCode).not.toBe(0)
    client.agent.options.ca = roots
    await more(3)
    const issuerOf = (chain: string): string => String(certificatesOf(chain)[1])
    const old = issuerOf(chains[0] ?? '')
    expect(chains.filter((chain) => issuerOf(chain) !== old)).toEqual([])

    // A command that is killed at some moment has switched all or nothing; again, it goes through.
    for (const milliseconds of [200, 400, 600]) {
      const child = team.start([
        ...['server', 'rotate', '--database', serving, '--activate', '--now'],
        ...team.keyFile(),
      ])
      await sleep(milliseconds)
      child.kill('SIGKILL')
      const state = await rotate()
      expect([state['current'].name, state['next']?.name, state['retired'].length]).toEqual(
        state['retired'].length === 0 ? ['team', 'team-2', 0] : ['team-2', undefined, 1],
      )
    }
    const activated = await withKey('--activate', '--now')
    expect(activated).toMatchObject({
      current: { name: 'team-2', fingerprint: next },
      next: null,
      retired: [{ name: 'team', fingerprint: made['fingerprint'] }],
    })
    expect(await withKey('--activate', '--now')).toMatchObject({ changed: false })
    const switched = chains.length + 1
    await more(6)
    orders = false
    await ordering

    // Each certificate is of one of both, and those ordered after the switch of the new one alone.
    const issuers = chains.map(issuerOf)
    expect(new Set(issuers).size).toBe(2)
    expect(issuers.slice(switched)).not.toContain(old)
    for (const chain of chains) {
      expect(await verifies(chain, roots)).toBe(true)
      expect(await verifies(chain, before)).toBe(issuerOf(chain) === old)
    }
    const [first, last] = [chains.at(0) as string, chains.at(-1) as string]
    const newest = issuerOf(last)
    const audit = await team.json(['server', 'audit', 'verify', '--database', serving])
    expect(audit).toMatchObject({ faults: [] })
    const issued = "select count(*) from rootling.audit where event = 'issued'"
    expect(Number(await team.postgres.server.psql(owner, issued))).toBe(chains.length)
    const steps = "select count(*) from rootling.audit where event = 'switchScope'"
    expect(Number(await team.postgres.server.psql(owner, steps))).toBe(1)

    // ARI has the clients of the old authority renew at once, and the others when they are due.
    const windowOf = async (chain: string) => {
      const id = certIdOf(new X509Certificate(chain))
      return (await client.send('GET', `${client.to('renewalInfo')}/${id}`)).body.suggestedWindow
    }
    expect(Date.parse((await windowOf(first)).end)).toBeLessThan(Date.now())
    expect(Date.parse((await windowOf(last)).start)).toBeGreaterThan(Date.now())
    // The old certificate leads to its issuer still.
    const shown = await client.post(links[0] ?? '', null)
    const up = /<([^>]+)>/.exec(shown.headers['link'] ?? '')?.[1] ?? ''
    expect(await client.send('GET', up)).toMatchObject({ status: 200 })

    // A certificate of the old authority is revoked, and every replica serves its CRL and OCSP.
    const [leaf] = certificatesOf(first) as [X509Certificate]
    const revoked = { certificate: leaf.raw.toString('base64url') }
    expect(await client.post(client.to('revokeCert'), revoked)).toMatchObject({ status: 200 })
    const text = leaf.toString()
    for (const [name, contents] of Object.entries({ old, newest, leaf: text, roots, last }))
      await writeFile(team.file(`${name}.pem`), contents)
    for (const { revocationPort } of replicas) {
      const base = `http://localhost:${revocationPort}`
      for (const [name, issuer] of [
        ['team', 'old'],
        ['team-2', 'newest'],
      ] as const) {
        const der = Buffer.from(await (await fetch(`${base}/${name}.crl`)).arrayBuffer())
        await writeFile(team.file('list.crl'), der)
        const shownList = await team.program('openssl', [
          ...['crl', '-inform', 'DER', '-in', team.file('list.crl'), '-text', '-noout'],
          ...['-CAfile', team.file(`${issuer}.pem`), '-verify'],
        ])
        expect(shownList.stderr).toContain('verify OK')
        expect(shownList.stdout.includes(leaf.serialNumber)).toBe(name === 'team')
      }
      const asked = (subject: string, issuer: string) =>
        team.program('openssl', [
          ...['ocsp', '-issuer', team.file(`${issuer}.pem`), '-cert', team.file(`${subject}.pem`)],
          ...['-url', base, '-CAfile', team.file('roots.pem'), '-no_nonce'],
          ...['-verify_other', team.file(`${issuer}.pem`)],
        ])
      expect((await asked('leaf', 'old')).stdout).toContain('leaf.pem: revoked')
      expect((await asked('last', 'newest')).stdout).toContain('last.pem: good')
    }

    // The replicas' own certificates follow within a minute.
    for (const { port } of replicas)
      await waitFor('the own certificate', () =>
        fetchText(port, '/healthz', String(prepared['next'].root)).catch(() => null),
      )

    // The old authority stays until its last certificate has ended.
    expect(await rotate('--finish')).toMatchObject({ changed: false, retired: [{ name: 'team' }] })
    expect(certificatesOf(await fetchText(front, '/roots.pem', roots))).toHaveLength(2)
    const ended = "update rootling.certificate set not_after = now() where scope = 'team'"
    await team.postgres.server.psql(owner, ended)
    expect(await rotate('--finish')).toMatchObject({ changed: true, retired: [] })
    expect(await fetchText(front, '/roots.pem', roots)).toBe(prepared['next'].root)
    // A replica knows the version of the scopes for up to a second.
    const retired = `http://localhost:${replicas[0]?.revocationPort}/team.crl`
    await expect.poll(async () => (await fetch(retired)).status).toBe(404)
    expect(
      await team.json(['server', 'init', '--database', owner, ...permit, ...team.keyFile()]),
    ).toMatchObject({ created: false, fingerprint: next })
  },
)

test('a wrong passphrase prepares nothing, and nothing is activated that was not prepared', async () => {
  const { owner } = await team.database()
  const line = ['server', 'rotate', '--database', owner]
  const absent = await team.rootling([...line, '--prepare', ...team.keyFile()])
  expect(absent).toMatchObject({ exitCode: 1 })
  expect(absent.stderr).toContain('rootling server init')
  const init = ['server', 'init', '--database', owner, '--permit', 'team.internal']
  await team.json([...init, ...team.keyFile()])
  const wrong = team.file('wrong')
  await writeFile(wrong, 'incorrect horse battery\n', { mode: 0o600 })
  const refused = await team.rootling([...line, '--prepare', '--passphrase-file', wrong])
  expect(refused).toMatchObject({ exitCode: 1 })
  expect(refused.stderr).toContain('The passphrase does not open')
  const unprepared = await team.rootling([...line, '--activate', ...team.keyFile()])
  expect(unprepared).toMatchObject({ exitCode: 2 })
  expect(unprepared.stderr).toContain('rotate --prepare')
  const unreplaced = await team.rootling([...line, '--finish'])
  expect(unreplaced).toMatchObject({ exitCode: 0 })
  expect(unreplaced.stderr).toContain('Nothing was deleted: no authority was replaced.')
  expect(await team.json(line)).toMatchObject({ changed: false, next: null, retired: [] })
})
