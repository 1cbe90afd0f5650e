import { X509Certificate } from 'node:crypto'
import type { PeerCertificate } from 'node:tls'
import { expect, test } from 'vitest'
import { checkIdentity } from '../../src/client/identity.ts'
import { ensureAuthority } from '../../src/authority/create.ts'
import { issue } from '../../src/certificates/issue.ts'
import { temporaryState } from '../helpers/temporary.ts'

/** What node:tls says of a certificate for `localhost` and `::1`, with a text of its names. */
async function peer(subjectaltname: string): Promise<PeerCertificate> {
  const state = await temporaryState()
  await ensureAuthority(state, new Date())
  const { chain } = await issue(state, { names: ['localhost', '::1'], files: null }, new Date())
  const { raw } = new X509Certificate(chain)
  return { raw, subjectaltname, subject: {} } as PeerCertificate
}

test.each(['IP Address:0:0:0:0:0:0:0:1', 'IP Address:::1'])(
  'finds ::1 where it is %s',
  async (text) => {
    expect(checkIdentity('::1', await peer(text))).toBeUndefined()
  },
)

test('finds no address and no host that the certificate does not have', async () => {
  const certificate = await peer('DNS:"x, IP Address:127.0.0.1, y"')
  for (const host of ['127.0.0.1', '::2', 'example.com'])
    expect(checkIdentity(host, certificate)).toMatchObject({ code: 'ERR_TLS_CERT_ALTNAME_INVALID' })
})
