import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { loopback, parseHostName, publicNames } from '../../src/hosts/host-name.ts'
import { planHosts } from '../../src/hosts/plan.ts'
import { temporaryDirectory } from '../helpers/temporary.ts'

const env = { HOME: '/' }

async function fileOf(contents: string | Uint8Array): Promise<string> {
  const file = join(await temporaryDirectory(), 'hosts')
  writeFileSync(file, contents)
  return file
}

const planFor = async (contents: string | Uint8Array, addresses = loopback, name = 'shop.test') =>
  planHosts({
    env,
    project: null,
    wanted: new Map([[name, addresses]]),
    file: await fileOf(contents),
  })

describe('a name', () => {
  test('is a host name, in lower case and as A-labels', () => {
    expect(parseHostName('Shop.Test')).toBe('shop.test')
    expect(parseHostName('bücher.test')).toBe('xn--bcher-kva.test')
    for (const [text, sentence] of [
      ['*.shop.test', /^\*\.shop\.test is a wildcard, and a hosts file has lines for single names/],
      ['localhost', /^Every machine finds localhost/],
      ['LOCALHOST.', /^Every machine finds localhost/],
      ['ip6-loopback', /^Every machine finds ip6-loopback, so its lines are left alone/],
      ['localhost.localdomain.', /^Every machine finds localhost\.localdomain/],
      ['10.0.0.1', /^10\.0\.0\.1 is not a host name\.$/],
      ['a@b.test', /^a@b\.test is not a host name\.$/],
      ['shop.test:8443', /has a port/],
      ['shop test', /contains a space/],
      ['a.test\n10.0.0.1 bank.example', /contains a space or a control character/],
      ['a.test#', /has a path/],
    ] as const)
      expect(() => parseHostName(text)).toThrow(sentence)
  })

  test('is public when it is outside the domains of a machine or a network', () => {
    const names =
      'a.test a.localhost a.internal a.home.arpa a.lan a.local db bank.com home.arpa.com'
    expect(publicNames(names.split(' '))).toEqual(['bank.com', 'home.arpa.com'])
  })
})

describe('a plan', () => {
  test('adds both loopback addresses, and nothing that another line has already', async () => {
    const both = loopback.map((address) => ({ name: 'shop.test', address }))
    expect(await planFor('127.0.0.1 localhost\n')).toMatchObject({ add: both, conflicts: [] })
    const half = await planFor('127.0.0.1 db SHOP.test # mine\r\n')
    expect(half).toMatchObject({ add: both.slice(1), conflicts: [] })
    const whole = await planFor('127.0.0.1\tshop.test\n0:0:0:0:0:0:0:1 shop.test')
    expect(whole).toMatchObject({ add: [], remove: [], conflicts: [], privileged: false })
  })

  test('names the line that gives a name another address', async () => {
    const text = '# a\n10.0.0.5 shop.test.old xshop.test\n\n10.0.0.5 db shop.test # staging\n'
    expect((await planFor(text)).conflicts).toEqual([
      {
        file: expect.stringMatching(/hosts$/),
        name: 'shop.test',
        address: '127.0.0.1',
        found: 'line 4: 10.0.0.5 db shop.test # staging',
      },
    ])
    expect((await planFor(text, ['10.0.0.5'])).conflicts).toEqual([])
    expect((await planFor('#10.0.0.5 shop.test\nshop.test 10.0.0.5\n')).conflicts).toEqual([])
    expect((await planFor('\uFEFF10.0.0.5 shop.test')).conflicts).toHaveLength(1)
  })

  test('refuses addresses that are none', async () => {
    for (const address of ['10.0.0', 'shop.test', '', 'fe80::1%eth0', '0.0.0.0', '::'])
      await expect(planFor('', [address])).rejects.toMatchObject({ code: 'usage' })
  })

  test('reads a list of hundreds of thousands of lines in less than a second of CPU', async () => {
    const lines = Array.from({ length: 400_000 }, (_, i) => `0.0.0.0 shop.test.${i}.example.com`)
    const file = await fileOf(lines.join('\n'))
    const before = process.cpuUsage()
    const wanted = new Map([['shop.test', loopback]])
    const { add } = await planHosts({ env, project: null, wanted, file })
    const { user, system } = process.cpuUsage(before)
    expect(add).toHaveLength(2)
    expect((user + system) / 1e3).toBeLessThan(1_000)
  })

  test('refuses a file that is no text, or too large, or not there', async () => {
    const wide = Buffer.from('\uFEFF127.0.0.1 localhost\n', 'utf16le')
    await expect(planFor(wide)).rejects.toThrow(/is in UTF-16, which no program reads there/)
    await expect(planFor('127.0.0.1 a\0b\n')).rejects.toThrow(/is not a text, so it was left/)
    const large = Buffer.alloc(33 * 1024 * 1024, '\n')
    await expect(planFor(large)).rejects.toMatchObject({ code: 'hosts-failed' })
    const wanted = new Map([['shop.test', loopback]])
    const file = join(await temporaryDirectory(), 'hosts')
    await expect(planHosts({ env, project: null, wanted, file })).rejects.toThrow(/is not there/)
    await expect(
      planHosts({ env, project: null, wanted, file: await temporaryDirectory() }),
    ).rejects.toMatchObject({ code: 'hosts-failed' })
  })

  test('writes nothing', async () => {
    const file = await fileOf('127.0.0.1 localhost')
    const { mtimeMs } = statSync(file)
    await planHosts({ env, project: null, wanted: new Map([['a.test', '127.0.0.1']]), file })
    expect(readFileSync(file, 'utf8')).toBe('127.0.0.1 localhost')
    expect(statSync(file).mtimeMs).toBe(mtimeMs)
  })
})
