import { X509Certificate } from 'node:crypto'
import {
  copyFileSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openHome } from '../helpers/home.ts'

async function openAuthority() {
  const home = openHome()
  await home.createAuthority()
  const path = (name: string): string => join(home.directory, name)
  const serialOf = (name: string): string =>
    new X509Certificate(readFileSync(path(name))).serialNumber.toLowerCase()
  return { ...home, path, serialOf }
}

test('renew takes any path of a file, a short serial number, and a name as it was typed', async () => {
  const { rootling, path, serialOf } = await openAuthority()
  mkdirSync(path('certs'))
  symlinkSync('certs', path('linked'))
  await rootling(['issue', 'bücher.test', '--cert-file=certs/tls.crt', '--key-file=certs/tls.key'])
  await rootling(['issue', '--client', 'alice@a.test', '--cn', 'alice', '--out-dir=certs'])
  const file = 'certs/tls.crt'
  const words = [
    () => file,
    () => `./certs/../${file}`,
    () => 'linked/tls.crt',
    () => 'certs/tls.key',
    () => serialOf(file).slice(0, 8),
    () => `${serialOf(file).slice(0, 12).toUpperCase()}…`,
    () => 'bücher.test',
    () => 'XN--BCHER-KVA.test',
  ]
  for (const word of words) {
    const before = serialOf(file)
    expect(await rootling(['renew', word()])).toMatchObject({ exitCode: 0 })
    expect(serialOf(file)).not.toBe(before)
  }
  const client = serialOf('certs/alice@a.test-client.pem')
  for (const word of ['alice', 'CN=alice', 'alice@a.test'])
    expect(await rootling(['renew', word])).toMatchObject({ exitCode: 0 })
  expect(serialOf('certs/alice@a.test-client.pem')).not.toBe(client)
  const refused = await rootling(['renew', 'certs/other.crt'])
  expect(refused).toMatchObject({
    exitCode: 2,
    stderr: expect.stringContaining('No certificate on record is for certs/other.crt.'),
  })
  // Too few digits to name one certificate.
  expect(await rootling(['renew', serialOf(file).slice(0, 7)])).toMatchObject({ exitCode: 2 })
})

test('a name of several certificates lists them, and --all takes them', async () => {
  const { rootling, json, path, serialOf } = await openAuthority()
  for (const name of ['a', 'b']) await rootling(['issue', 'shop.test', `--out-dir=${name}`])
  const serials = () => ['a', 'b'].map((name) => serialOf(`${name}/shop.test.pem`))
  const before = serials()
  for (const command of ['renew', 'revoke', 'show']) {
    const { exitCode, stderr, stdout } = await rootling([command, 'shop.test'])
    expect([exitCode, stdout]).toEqual([2, ''])
    for (const [i, serial] of serials().entries())
      expect(stderr).toContain(`${serial.slice(0, 8)} (${path(i === 0 ? 'a' : 'b')}/`)
    expect(stderr).toContain(`rootling ${command} shop.test --all`)
  }
  expect(serials()).toEqual(before)
  expect(await rootling(['renew', 'shop.test', '--all'])).toMatchObject({ exitCode: 0 })
  expect(serials().filter((serial) => before.includes(serial))).toEqual([])
  const [first = ''] = serials()
  expect((await json(['show', 'shop.test', '--all'])).value).toMatchObject({
    shown: [{ from: 'record', record: { serialNumber: first } }, { from: 'record' }],
  })
  expect((await json(['show', first.slice(0, 8)])).value).toMatchObject({
    target: first.slice(0, 8),
    from: 'record',
    record: { serialNumber: first },
    certificates: [{ role: 'leaf' }, { role: 'intermediate' }],
  })
  expect((await json(['revoke', 'shop.test', '--all'])).value).toMatchObject({
    revoked: serials().map((serialNumber) => ({ certificate: { serialNumber }, changed: true })),
  })
})

test('revoke takes a name, and a file that is gone; a file that is there counts by its contents', async () => {
  const { json, rootling, path, serialOf } = await openAuthority()
  await rootling(['issue', 'a.test', '--out-dir=certs'])
  await rootling(['issue', 'b.test'])
  const [a, b] = [serialOf('certs/a.test.pem'), serialOf('b.test.pem')]
  rmSync(path('certs/a.test.pem'))
  expect((await json(['revoke', 'certs/a.test.pem'])).value).toMatchObject({
    certificate: { serialNumber: a },
    changed: true,
  })
  expect((await json(['revoke', 'b.test'])).value).toMatchObject({
    certificate: { serialNumber: b },
  })
  expect(await rootling(['revoke', 'c.test'])).toMatchObject({
    exitCode: 2,
    stderr: expect.stringContaining('No certificate on record is for c.test.'),
  })
})

test('forget drops the certificates whose file is gone, and no other', async () => {
  const { json, rootling, path, serialOf } = await openAuthority()
  for (const name of ['a', 'b', 'c']) await rootling(['issue', `${name}.test`])
  const [a, b] = [serialOf('a.test.pem'), serialOf('b.test.pem')]
  const kept = await rootling(['forget', 'a.test'])
  expect(kept).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('is there') })
  rmSync(path('a.test.pem'))
  for (const name of ['b.test.pem', 'b.test-key.pem']) rmSync(path(name))
  const listed = await rootling(['list'])
  expect(listed.stdout).toContain('file is missing')
  expect(listed.stderr).toContain('rootling forget --all')
  expect(await rootling(['forget'])).toMatchObject({ exitCode: 2 })
  // One word that cannot be forgotten keeps all.
  expect(await rootling(['forget', 'a.test', 'c.test'])).toMatchObject({ exitCode: 2 })
  expect((await json(['forget', 'a.test.pem'])).value).toMatchObject({
    forgotten: [{ serialNumber: a, names: ['a.test'] }],
  })
  expect((await json(['forget', '--all'])).value).toMatchObject({
    forgotten: [{ serialNumber: b }],
  })
  expect((await json(['forget', '--all'])).value).toMatchObject({ forgotten: [] })
  const names = async (...args: string[]) =>
    ((await json(['list', ...args])).value['certificates'] as Record<string, string>[]).map(
      ({ names: own, standing }) => `${own} ${standing}`,
    )
  const authority = 'localhost current'
  expect(await names()).toEqual(['c.test current', authority])
  expect(await names('--all')).toEqual([
    'c.test current',
    'b.test forgotten',
    'a.test forgotten',
    authority,
  ])
  // Neither a name nor --all renews it, but a copy can still be revoked by its serial number.
  expect((await json(['renew', '--all'])).value['renewals']).toHaveLength(2)
  expect(await rootling(['renew', 'a.test'])).toMatchObject({ exitCode: 2 })
  expect((await json(['revoke', a])).value).toMatchObject({ changed: true })
  // What is issued to the same file again is on record as before.
  await rootling(['issue', 'b.test'])
  expect((await names())[0]).toBe('b.test current')
})

test('list shows short serial numbers, and what each certificate is for', async () => {
  const { rootling, serialOf } = await openAuthority()
  await rootling(['issue', 'a.test'])
  await rootling(['issue', 'ada@a.test'])
  await rootling(['issue', '--client', 'alice'])
  await rootling(['ca', 'permit', '--private', 'vpn'])
  await rootling(['issue', 'gate.example', '--scope', 'vpn', '--out-dir=vpn'])
  const { stdout } = await rootling(['list'])
  const row = (name: string) => stdout.split('\n').find((line) => line.startsWith(name)) ?? ''
  expect(row('a.test')).toMatch(/ server {2}/)
  expect(row('a.test')).toMatch(new RegExp(` ${serialOf('a.test.pem').slice(0, 8)}(?: |$)`))
  expect(row('ada@a.test')).toMatch(/ mail {2}/)
  expect(row('alice')).toMatch(/ client {2}/)
  expect(row('gate.example')).toMatch(/ server, scope vpn /)
})

test('what serve keeps for a name counts only where nothing else has the name', async () => {
  const { rootling, json, path, serialOf } = await openAuthority()
  const kept = 'It is kept for serve and certificateFor, which renew it by themselves.'
  for (const command of ['show', 'renew']) {
    const alone = await rootling([command, 'localhost'])
    expect([command, alone.exitCode, alone.stderr]).toEqual([
      command,
      0,
      expect.stringContaining(kept),
    ])
  }
  await rootling(['issue', 'localhost'])
  const serial = serialOf('localhost.pem')
  const shown = await json(['show', 'localhost'])
  expect(shown.value).toMatchObject({ record: { serialNumber: serial } })
  expect(shown.stderr).not.toContain(kept)
  expect((await json(['renew', 'localhost'])).value).toMatchObject({
    renewals: [{ previous: { serialNumber: serial }, outcome: 'renewed' }],
  })
  const renewed = serialOf('localhost.pem')
  const everyShown = (await json(['show', 'localhost', '--all'])).value['shown']
  expect(everyShown).toHaveLength(2)
  const there = await rootling(['forget', 'localhost'])
  expect(there.stderr).toContain(`${path('localhost.pem')} is there`)
  expect((await json(['revoke', 'localhost'])).value).toMatchObject({
    certificate: { serialNumber: renewed },
  })
  rmSync(path('localhost.pem'))
  expect((await json(['forget', 'localhost'])).value).toMatchObject({
    forgotten: [{ serialNumber: renewed }],
  })
})

test('a file that was copied or moved is known by what it holds', async () => {
  const { rootling, json, path, serialOf } = await openAuthority()
  await rootling(['issue', 'a.test', '--out-dir=certs'])
  const serial = serialOf('certs/a.test.pem')
  copyFileSync(path('certs/a.test.pem'), path('copy.pem'))
  expect((await json(['show', 'copy.pem'])).value).toMatchObject({
    certificates: [{ serialNumber: serial, issuedHere: true }, {}],
  })
  const here = `rootling issue a.test --cert-file ${path('copy.pem')} --key-file ${path('a.test-key.pem')}`
  const copied = await rootling(['renew', 'copy.pem'])
  expect([copied.exitCode, copied.stderr]).toEqual([2, expect.stringContaining(here)])
  expect(copied.stderr).toContain(
    `${path('copy.pem')} is a copy of ${path('certs/a.test.pem')}, where renewals write.`,
  )
  expect(copied.stderr).toContain(`rootling renew ${path('certs/a.test.pem')}`)
  expect((await rootling(['forget', 'copy.pem'])).stderr).toContain('certs/a.test.pem is there')
  expect(serialOf('certs/a.test.pem')).toBe(serial)

  renameSync(path('certs/a.test.pem'), path('moved.pem'))
  const moved = await rootling(['renew', 'moved.pem'])
  expect([moved.exitCode, moved.stderr]).toEqual([
    2,
    expect.stringContaining(`mv ${path('moved.pem')} ${path('certs/a.test.pem')}`),
  ])
  expect((await json(['revoke', 'moved.pem'])).value).toMatchObject({
    certificate: { serialNumber: serial },
    changed: true,
  })
  expect((await json(['forget', 'moved.pem'])).value).toMatchObject({
    forgotten: [{ serialNumber: serial }],
  })
  const printed = await rootling(['issue', 'b.test', '--stdout'])
  writeFileSync(path('printed.pem'), printed.stdout)
  expect((await rootling(['renew', 'printed.pem'])).stderr).toContain(
    `rootling issue b.test --cert-file ${path('printed.pem')} --key-file ${path('printed-key.pem')}`,
  )
})
