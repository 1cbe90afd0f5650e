import { expect, test } from 'vitest'
import { groupOfSession } from '../../src/server/tls-session.ts'

/** A session as OpenSSL writes it: the version 1, and behind it what is given in hex. */
const session = (rest: string): Buffer => {
  const contents = Buffer.from(`020101${rest}`, 'hex')
  return Buffer.concat([Buffer.from([0x30, contents.length]), contents])
}

test.each([
  ['b30302011d', 'X25519'],
  ['b303020117', 'P-256'],
  ['b304020211ec', 'X25519MLKEM768'],
  ['a4030201ffb30302011f', '0x001f'],
])('reads the group of the key exchange in %s: %s', (rest, group) => {
  expect(groupOfSession(session(rest))).toBe(group)
})

test('names no group where the session has none, or is not OpenSSL’s', () => {
  expect(groupOfSession(undefined)).toBeNull()
  expect(groupOfSession(session(''))).toBeNull()
  // BoringSSL keeps the client's certificates in [19].
  expect(groupOfSession(session('b3053003040100'))).toBeNull()
  // Newer Nodes put a head of their own before the sessions of clients.
  const headed = Buffer.concat([Buffer.from('\0nodejs:tls:session:1\0'), session('b30302011d')])
  expect(groupOfSession(headed)).toBeNull()
  const whole = session('b304020211ec')
  for (let length = 0; length < whole.length; length++)
    expect(groupOfSession(whole.subarray(0, length))).toBeNull()
})
