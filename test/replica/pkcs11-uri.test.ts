import { expect, test } from 'vitest'
import { parsePkcs11Uri } from '../../src/replica/pkcs11-uri.ts'

const query = 'module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:/etc/rootling/pin'

test('a URI of RFC 7512 names the token, the key, the module and the file of the PIN', () => {
  expect(parsePkcs11Uri(`pkcs11:token=ca;object=rootling?${query}`)).toEqual({
    token: 'ca',
    object: 'rootling',
    id: undefined,
    modulePath: '/usr/lib/softhsm/libsofthsm2.so',
    pinSource: '/etc/rootling/pin',
  })
  const encoded = 'pkcs11:token=our%20t%C3%B6ken;id=%01%ff;type=private?'
  expect(parsePkcs11Uri(`${encoded}${query}`)).toMatchObject({ token: 'our töken', id: '01ff' })
  for (const source of ['file:///etc/pin', '/etc/pin'])
    expect(
      parsePkcs11Uri(`pkcs11:token=ca;id=%01?module-path=/m.so&pin-source=${source}`),
    ).toMatchObject({ pinSource: '/etc/pin' })
})

test.each([
  ['http:token=ca', 'does not begin with pkcs11:'],
  [`pkcs11:object=a?${query}`, 'names no token'],
  [`pkcs11:token=ca?${query}`, 'names no key'],
  [`pkcs11:token=ca;object=a;serial=1?${query}`, 'the attribute serial, which is not one of token'],
  [`pkcs11:token=ca;object=a?${query}&x-y=1`, 'the attribute x-y, which is not one of module-path'],
  [`pkcs11:token=ca;token=cb;object=a?${query}`, 'the attribute token twice'],
  [`pkcs11:token=ca;object=a;type=cert?${query}`, 'no private key'],
  [`pkcs11:token=ca;object=?${query}`, 'an attribute object without a value'],
  [`pkcs11:token=ca;object=%4?${query}`, 'with a wrong %'],
  [`pkcs11:token=ca;object=%ff?${query}`, 'not plain text in UTF-8'],
  [`pkcs11:token=ca;object=a%0ab?${query}`, 'not plain text in UTF-8'],
  [`pkcs11:token=ca;;object=a?${query}`, 'not NAME=VALUE'],
  ['pkcs11:token=ca;object=a', 'has no module-path'],
  ['pkcs11:token=ca;object=a?module-path=/m.so', 'has no pin-source'],
  [
    'pkcs11:token=ca;object=a?module-path=m.so&pin-source=/p',
    'module-path that is not an absolute',
  ],
  ['pkcs11:token=ca;object=a?module-path=/m.so&pin-source=%7cprogram', 'pin-source that is not'],
  [`pkcs11:token=${'a'.repeat(2_000)};object=a?${query}`, 'more than 2000 characters'],
])('%s is refused', (uri, fault) => {
  expect(() => parsePkcs11Uri(uri)).toThrow(
    expect.objectContaining({ code: 'usage', message: expect.stringContaining(fault) }),
  )
})

test('a PIN in the URI is refused, and not repeated', () => {
  const uri = 'pkcs11:token=ca;object=a?module-path=/m.so&pin-value=sesame'
  expect(() => parsePkcs11Uri(uri)).toThrow(
    expect.objectContaining({
      message:
        'The URI of --key-pkcs11 holds a PIN, which other users can read in the command line.',
      hint: expect.not.stringContaining('sesame'),
    }),
  )
})
