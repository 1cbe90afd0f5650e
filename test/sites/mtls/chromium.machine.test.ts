import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { chromiumClient } from '../../outside/e2e/client-chromium.ts'
import { rootlingIn, type Rootling, type Serving } from '../../helpers/rootling.ts'
import { namespaceUnavailable, openNamespace, type Namespace } from '../../helpers/namespace.ts'

const obstacle = namespaceUnavailable() ?? (await chromiumClient.unavailable())
const skipNote = obstacle === null ? '' : ` [skipped: ${obstacle}]`
const name = 'alice@example.test-client'

describe.skipIf(obstacle !== null)(`Chromium${skipNote}`, () => {
  let namespace: Namespace
  let rootling: Rootling
  let serving: Serving
  let passwordFile: string

  beforeAll(async () => {
    namespace = await openNamespace()
    rootling = rootlingIn(namespace)
    await rootling.must(['install', '--yes', '--stores', 'nss'])
    passwordFile = join(namespace.home, 'password.txt')
    await namespace.writeFile(passwordFile, 'correct horse\n')
    const files = ['--out-dir', namespace.home, '--pkcs12', '--password-file', passwordFile]
    await rootling.must(['issue', '--client', 'alice@example.test', ...files])
    serving = await rootling.serve(['--port=0', '--mtls'])
    // In the place of the person who would choose from the list.
    const choice = JSON.stringify({ pattern: serving.url.replace(/\/$/, ''), filter: {} })
    await namespace.writeFile(
      '/etc/chromium/policies/managed/client.json',
      JSON.stringify({ AutoSelectCertificateForUrls: [choice] }),
    )
  })
  afterAll(async () => {
    serving.close()
    await namespace.close()
  })

  /** What the page says, or the network error. */
  async function visit(): Promise<string> {
    const session = await chromiumClient.open(namespace)
    try {
      const verdict = await session.fetch(serving.url)
      return verdict.trusted ? verdict.body : verdict.reason
    } catch (error) {
      return String(error)
    } finally {
      await session.close()
    }
  }

  const p12 = () => join(namespace.home, `${name}.p12`)

  test('has nothing to show before the certificate is in its database', async () => {
    expect(await visit()).toContain('ERR_BAD_SSL_CLIENT_AUTH_CERT')
    expect(serving.log()).toContain('refused: the client sent no certificate.')
  })

  test('shows the certificate that rootling install-client gave it', async () => {
    await rootling.must(['install-client', p12(), '--password-file', passwordFile])
    const page = await visit()
    expect(page).toContain('This connection is secured')
    expect(page).toContain('alice@example.test')
    expect(page).toContain('HTTP/2')
  })

  test('is refused once it is revoked', async () => {
    await rootling.must(['revoke', join(namespace.home, `${name}.pem`)])
    expect(await visit()).toContain('ERR_BAD_SSL_CLIENT_AUTH_CERT')
    expect(serving.log()).toContain('refused: the certificate of alice@example.test was revoked')
  })

  test('has nothing to show again when it is removed', async () => {
    await rootling.must(['install-client', '--remove', join(namespace.home, `${name}.pem`)])
    const before = serving.log().length
    expect(await visit()).toContain('ERR_BAD_SSL_CLIENT_AUTH_CERT')
    expect(serving.log().slice(before)).toContain('the client sent no certificate.')
  })
})
