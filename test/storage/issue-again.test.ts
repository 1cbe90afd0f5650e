import { expect, test } from 'vitest'
import { issueInFiles } from '../../src/storage/issue-again.ts'
import { selfSignedScope, type CertificateRecord } from '../../src/storage/records.ts'

const record: CertificateRecord = {
  serialNumber: '4a'.repeat(16),
  scope: 'local',
  identifiers: [{ type: 'dns', value: '*.shop.test' }],
  notBefore: '2026-01-01T00:00:00Z',
  notAfter: '2027-01-01T00:00:00Z',
  keyType: 'p256',
  purpose: 'server',
  fingerprint: '00'.repeat(32),
  certPath: '/tmp/my certs/a.pem',
  keyPath: '/tmp/my certs/a-key.pem',
}
const files = "--cert-file '/tmp/my certs/a.pem' --key-file '/tmp/my certs/a-key.pem'"

test.each<[string, Partial<CertificateRecord>]>([
  [`rootling issue '*.shop.test' ${files}`, {}],
  [`rootling issue '*.shop.test' --self-signed ${files}`, { scope: selfSignedScope }],
  [`rootling issue '*.shop.test' --scope work ${files}`, { scope: 'work' }],
  [
    `rootling issue --client --subject 'CN=Ada L' ${files}`,
    { scope: 'clients', purpose: 'client', identifiers: [], subject: 'CN=Ada L' },
  ],
  ["rootling issue '*.shop.test' --csr FILE --cert-file '/tmp/my certs/a.pem'", { keyPath: null }],
  ["rootling issue '*.shop.test' --key-file '/tmp/my certs/a-key.pem'", { certPath: null }],
])('the command that makes a certificate again is %s', (line, differs) => {
  expect(issueInFiles({ ...record, ...differs })).toBe(line)
})
