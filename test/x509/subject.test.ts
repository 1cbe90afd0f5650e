import { describe, expect, test } from 'vitest'
import { X509Certificate } from 'node:crypto'
import { commonNameText, parseSubject } from '../../src/x509/subject.ts'
import { signCertificate, signWith } from '../../src/x509/certificate.ts'
import { generateKeys } from '../../src/x509/keys.ts'
import { createPrivateKey } from 'node:crypto'

/** What Node's reader finds in a certificate with this subject, the first attribute first. */
async function subjectOf(text: string): Promise<string> {
  const keys = await generateKeys('p256')
  const key = createPrivateKey({ key: keys.pkcs8, format: 'der', type: 'pkcs8' })
  const signing = signWith(key)
  if (signing === null) throw new Error('no algorithm')
  const subject = parseSubject(text)
  const [notBefore, notAfter] = [new Date(0), new Date(1e12)]
  const fields = { serialNumber: Buffer.of(1), subject, notBefore, notAfter, extensions: [] }
  const signer = { name: subject, keyIdentifier: Buffer.of(1), ...signing }
  const der = await signCertificate({ ...fields, spki: keys.spki }, signer)
  return new X509Certificate(der).subject
}

test.each([
  ['CN=alice', 'CN=alice'],
  ['CN=alice,OU=Engineering,O=Example', 'O=Example\nOU=Engineering\nCN=alice'],
  ['cn = alice , o=Example ', 'O=Example\nCN=alice'],
  [String.raw`CN=Lennon\, John,O=A\+B\=C`, 'O=A\\+B=C\nCN=Lennon\\, John'],
  [String.raw`CN=\ two \ `, 'CN=\\ two \\ '],
  ['CN=Zoë 海', 'CN=Zoë 海'],
  ['O=x,C=de', 'C=DE\nO=x'],
  ['CN=a,DC=example,DC=test', 'DC=test\nDC=example\nCN=a'],
  ['emailAddress=a@b.test,UID=u', 'UID=u\nemailAddress=a@b.test'],
  ['O=a,O=b', 'O=b\nO=a'],
])('%s is read as RFC 4514 says', async (text, subject) => {
  expect(await subjectOf(text)).toBe(subject)
})

test.each([
  '',
  'alice',
  'CN=',
  'CN=alice,',
  ',CN=alice',
  'CN=a,,O=b',
  'CN=a+UID=b',
  'CN=a;O=b',
  'CN="a"',
  'CN=#0c0161',
  'CN=a\\',
  String.raw`CN=\61lice`,
  'XY=alice',
  '2.5.4.3=alice',
  'C=Germany',
  'CN=a\nb',
  'CN=a\u0000.bank.com',
  'CN=\ud800',
  'CN=\u202eecila',
  'CN=a\u200blice',
  'CN=a\u2028lice',
  'CN=alice,O=a,cn=admin',
  'DC=bücher',
  `CN=${'a'.repeat(65)}`,
  `CN=${'a'.repeat(3000)}`,
  Array.from({ length: 21 }, () => 'O=a').join(','),
  '/O=Example/CN=alice',
])('refuses %j', (text) => {
  expect(() => parseSubject(text)).toThrow(expect.objectContaining({ code: 'usage' }))
})

describe('the text of a common name', () => {
  test.each(['alice', 'a,b', ' a ', '#a', String.raw`a\b`, 'a=b+c;<>"', '  ', 'Zoë'])(
    'of %j is read again as it was',
    async (name) => {
      expect(parseSubject(commonNameText(name)).subarray(-Buffer.byteLength(name)).toString()).toBe(
        name,
      )
    },
  )
})
