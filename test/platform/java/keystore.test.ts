import { expect, test } from 'vitest'
import { parseKeystore } from '../../../platform/java/keystore.ts'
import { anchor } from '../anchors.ts'

function entry(alias: string, type: string): string {
  return `Alias name: ${alias}\nCreation date: Nov 25, 2026\nEntry type: ${type}\n\n${anchor.pem}\n*****\n\n`
}

test('reads the trusted certificates and their aliases', () => {
  const text = `Keystore type: JKS\n\n${entry('debian:a b.pem', 'trustedCertEntry')}${entry('x', 'trustedCertEntry')}`
  expect(parseKeystore(text)).toEqual([
    { alias: 'debian:a b.pem', der: anchor.der },
    { alias: 'x', der: anchor.der },
  ])
})

test('passes over a key with its chain, which makes no root trusted', () => {
  expect(parseKeystore(entry('server', 'PrivateKeyEntry'))).toEqual([])
})

test('finds nothing in an empty answer', () => {
  expect(parseKeystore('')).toEqual([])
})
