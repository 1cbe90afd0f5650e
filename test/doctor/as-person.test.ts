import { chmodSync, linkSync, mkdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { asPerson } from '../../src/doctor/checks/runtimes.ts'
import { closeToOthers } from '../../src/doctor/fix.ts'
import { temporaryDirectory } from '../helpers/temporary.ts'

type Known = Parameters<typeof asPerson>[0]
const isRoot = process.getuid?.() === 0
const me = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 }

function knownFor(viaSudo: boolean): Known {
  const person = { name: 'dev', uid: 1000, gid: 1001, home: '/home/dev', viaSudo }
  const env = { HOME: '/root', CURL_CA_BUNDLE: '/ca.pem' }
  return { machine: { person }, world: { env } } as unknown as Known
}

test('under sudo the runtimes run as the person, who has written what they read', () => {
  const env = { HOME: '/home/dev', CURL_CA_BUNDLE: '/ca.pem' }
  expect(asPerson(knownFor(true))).toEqual({
    uid: 1000,
    gid: 1001,
    env: { ...env, USER: 'dev', LOGNAME: 'dev' },
  })
  expect(asPerson(knownFor(false))).toEqual({ env })
})

describe('a key file of the record is closed to others', () => {
  test('if it is a regular file of the person', async () => {
    const key = join(await temporaryDirectory(), 'key.pem')
    writeFileSync(key, 'x')
    chmodSync(key, 0o644)
    expect(closeToOthers(key, 0o600, me)).toBeNull()
    expect(statSync(key).mode & 0o777).toBe(0o600)
  })

  test('but no link is followed, and no directory or absent file is touched', async () => {
    const directory = await temporaryDirectory()
    const victim = join(directory, 'victim')
    writeFileSync(victim, 'x')
    chmodSync(victim, 0o644)
    const link = join(directory, 'link')
    symlinkSync(victim, link)
    expect(closeToOthers(link, 0o600, me)).toBe('it is a symbolic link')
    const inside = join(directory, 'inside')
    mkdirSync(inside, { mode: 0o755 })
    expect(closeToOthers(inside, 0o600, me)).toBe('it is no regular file')
    expect(closeToOthers(join(directory, 'none'), 0o600, me)).toBe('it cannot be opened (ENOENT)')
    expect([victim, inside].map((path) => statSync(path).mode & 0o777)).toEqual([0o644, 0o755])
  })

  test.skipIf(!isRoot)(
    'and under sudo no file of another user is (skipped without root)',
    async () => {
      const directory = await temporaryDirectory()
      chmodSync(directory, 0o777)
      const victim = join(directory, 'victim')
      writeFileSync(victim, 'x')
      chmodSync(victim, 0o4755)
      const person = { uid: 1000, gid: 1000 }
      expect(closeToOthers(victim, 0o600, person)).toBe('another user owns it')
      const linked = join(directory, 'linked')
      linkSync(victim, linked)
      expect(closeToOthers(linked, 0o600, person)).toBe('another user owns it')
      expect(statSync(victim).mode & 0o7777).toBe(0o4755)
    },
  )
})
