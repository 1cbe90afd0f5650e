import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { createAuthority, rootlingIn, type Rootling, type Serving } from '../../helpers/rootling.ts'
import { namespaceUnavailable, openNamespace, type Namespace } from '../../helpers/namespace.ts'
import { waitFor } from '../../helpers/subprocess.ts'
import { makeCredentials } from './credentials.ts'

const obstacle = namespaceUnavailable()
const skipNote = obstacle === null ? '' : ` [skipped: ${obstacle}]`

describe.skipIf(obstacle !== null)(`rootling serve --mtls${skipNote}`, () => {
  let namespace: Namespace
  let rootling: Rootling

  beforeAll(async () => {
    namespace = await openNamespace()
    rootling = rootlingIn(namespace)
    await createAuthority(namespace)
    await issue('localhost')
    await issue('--client', 'alice@example.test')
    await issue('--client', 'bob@example.test')
  })
  afterAll(() => namespace.close())

  const issue = (...args: string[]) =>
    rootling.must(['issue', '--out-dir', namespace.home, ...args])
  const file = (name: string) => join(namespace.home, name)

  /** `rootling get` with the certificate of this base name. */
  async function get(serving: Serving, base: string | null, ...args: string[]) {
    const own =
      base === null
        ? []
        : ['--client-cert', file(`${base}.pem`), '--client-key', file(`${base}-key.pem`)]
    const { exitCode, stdout, stderr } = await rootling.run(['get', serving.url, ...own, ...args])
    return { exitCode, stdout, stderr }
  }

  async function serve(...args: string[]): Promise<Serving> {
    const serving = await rootling.serve(['--port=0', ...args])
    onTestFinished(() => serving.close())
    return serving
  }

  test('answers a client of ours with its names, and nobody else', async () => {
    const serving = await serve('--mtls')
    const alice = await get(serving, 'alice@example.test-client')
    expect(alice).toMatchObject({ exitCode: 0, stderr: 'HTTP/1.1 200 OK\n' })
    expect(alice.stdout).toMatch(/^ {2}Names +alice@example\.test$/m)

    const nobody = await get(serving, null)
    expect(nobody).toMatchObject({ exitCode: 4, stdout: '' })
    expect(nobody.stderr).toMatch(
      /Client certificate required: localhost:\d+ wants one and got none\./,
    )
    expect(nobody.stderr).toContain('rootling issue --client')

    const server = await get(serving, 'localhost')
    expect(server).toMatchObject({ exitCode: 4, stdout: '' })
    expect(server.stderr).toMatch(
      /Client certificate refused: localhost:\d+ says that it is not for clients\./,
    )
    expect(serving.log()).toContain('127.0.0.1 refused: the client sent no certificate.')
    expect(serving.log()).toContain(
      '127.0.0.1 refused: the certificate of localhost is not for clients (its extKeyUsage lacks clientAuth).',
    )
  })

  test('learns of a revocation by another process, and of its release', async () => {
    const serving = await serve('--mtls')
    const bob = file('bob@example.test-client.pem')
    expect(await get(serving, 'bob@example.test-client')).toMatchObject({ exitCode: 0 })
    await rootling.must(['revoke', bob, '--reason', 'certificateHold'])
    const refused = await get(serving, 'bob@example.test-client')
    expect(refused).toMatchObject({ exitCode: 4, stdout: '' })
    expect(refused.stderr).toMatch(
      /Client certificate refused: localhost:\d+ says that it was revoked\./,
    )
    expect(serving.log()).toMatch(
      /127\.0\.0\.1 refused: the certificate of bob@example\.test was revoked on .* UTC \(certificateHold\)\./,
    )
    expect(await get(serving, 'alice@example.test-client')).toMatchObject({ exitCode: 0 })
    await rootling.must(['revoke', bob, '--release'])
    expect(await get(serving, 'bob@example.test-client')).toMatchObject({ exitCode: 0 })
  })

  test('with --mtls-optional answers those without a certificate too', async () => {
    const serving = await serve('--mtls-optional')
    const nobody = await get(serving, null)
    expect(nobody).toMatchObject({ exitCode: 0 })
    expect(nobody.stdout).not.toContain('Client certificate')
    const alice = await get(serving, 'alice@example.test-client')
    expect(alice.stdout).toMatch(/^Client certificate$/m)
    expect(await get(serving, 'localhost')).toMatchObject({ exitCode: 4 })
  })

  test('with --client-ca trusts those CAs, and ours no longer', async () => {
    const foreign = makeCredentials()
    onTestFinished(() => foreign.authority.remove())
    const ca = file('foreign-ca.pem')
    await namespace.writeFile(ca, foreign.root)
    await namespace.writeFile(file('foreign.pem'), foreign.clients.good.cert)
    await namespace.writeFile(file('foreign-key.pem'), foreign.clients.good.key)
    const ours = await serve('--mtls')
    expect(await get(ours, 'foreign')).toMatchObject({
      exitCode: 4,
      stderr: expect.stringContaining('does not know the CA that issued it'),
    })
    const theirs = await serve('--mtls', '--client-ca', ca)
    expect(await get(theirs, 'foreign')).toMatchObject({ exitCode: 0 })
    expect(await get(theirs, 'alice@example.test-client')).toMatchObject({ exitCode: 4 })
    expect(theirs.log()).toContain('alice@example.test comes from another CA')
  })

  test('follows a rotated CA, and the file of --client-ca, while it stands', async () => {
    const serving = await serve('--mtls')
    const before = await get(serving, 'bob@example.test-client')
    expect(before).toMatchObject({ exitCode: 0 })
    const old = file('old')
    await namespace.must('cp', [`${file('bob@example.test-client')}.pem`, `${old}.pem`])
    await namespace.must('cp', [`${file('bob@example.test-client')}-key.pem`, `${old}-key.pem`])
    const stranger = makeCredentials()
    onTestFinished(() => stranger.authority.remove())
    await namespace.writeFile(file('stranger.pem'), stranger.clients.good.cert)
    await namespace.writeFile(file('stranger-key.pem'), stranger.clients.good.key)
    const ca = file('clients-ca.pem')
    await namespace.must('cp', [await rootPath('--client'), ca])
    const named = await serve('--mtls', '--client-ca', ca)
    expect(await get(named, 'stranger')).toMatchObject({ exitCode: 4 })

    await rootling.must(['ca', 'rotate', '--yes', '--stores', 'nss'])
    await rootling.must(['ca', 'rotate', 'clients'])
    // Both ends have new certificates now, and `get` trusts only the new root.
    const bob = await waitFor('the server to let the new CA’s client in', async () => {
      const answer = await get(serving, 'bob@example.test-client')
      return answer.exitCode === 0 ? answer : null
    })
    expect(bob.stdout).toContain('bob@example.test')
    // The old CA counts until the rotation has taken it away, and the server has seen that.
    const refused = await waitFor('the old CA’s client to be refused', async () => {
      const answer = await get(serving, 'old')
      return answer.exitCode === 4 ? answer : null
    })
    for (const { stdout, stderr } of [refused, await get(serving, 'stranger')]) {
      expect(stdout).toBe('')
      expect(stderr).toContain('does not know the CA that issued it')
    }

    await namespace.must('sh', ['-c', `cat ${await rootPath('--client')} >> ${ca}`])
    await waitFor('the named CAs to be read anew', () =>
      named.log().includes('The CAs of clients were read anew') ? true : null,
    )
    expect(await get(named, 'bob@example.test-client')).toMatchObject({ exitCode: 0 })
    expect(await get(named, 'stranger')).toMatchObject({ exitCode: 4 })
    await namespace.writeFile(ca, 'nothing of the kind\n')
    await waitFor('what is unreadable to be logged', () =>
      named.log().includes('The CAs of clients stay as they were') ? true : null,
    )
    expect(await get(named, 'bob@example.test-client')).toMatchObject({ exitCode: 0 })
  })

  test('refuses a directory’s files as it refuses the page', async () => {
    await namespace.writeFile(file('site/secret.txt'), 'the secret\n')
    const serving = await serve('--mtls', '--dir', file('site'))
    const url = `${serving.url}secret.txt`
    const read = (client: string[]) =>
      namespace.run('curl', ['-sS', '--cacert', file('root.pem'), ...client, url])
    await namespace.must('sh', ['-c', `cat ${await rootPath()} > ${file('root.pem')}`])
    const base = file('alice@example.test-client')
    const alice = await read(['--cert', `${base}.pem`, '--key', `${base}-key.pem`])
    expect(alice).toMatchObject({ exitCode: 0, stdout: 'the secret\n' })
    const nobody = await read([])
    expect(nobody).toMatchObject({ stdout: '', stderr: expect.stringContaining('alert') })
    expect(nobody.exitCode).not.toBe(0)
  })

  test('says what goes together', async () => {
    const alone = await rootling.run(['serve', '--client-ca', 'ca.pem'])
    expect(alone).toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining('--client-ca means nothing without --mtls.'),
    })
    const half = await rootling.run(['get', 'https://localhost/', '--client-cert', 'a.pem'])
    expect(half).toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining('--cert-file and --key-file go together.'),
    })
    const none = await rootling.run(['serve', '--mtls', '--client-ca', file('localhost-key.pem')])
    expect(none).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining('holds no certificate in PEM form.'),
    })
  })

  async function rootPath(...words: string[]): Promise<string> {
    const { stdout } = await rootling.must(['ca', 'path', ...words])
    return stdout.trim()
  }
})
