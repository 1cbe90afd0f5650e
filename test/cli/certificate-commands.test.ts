import { writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { ensureAuthority } from '../../src/authority/create.ts'
import { issue } from '../../src/certificates/issue.ts'
import { renew as renewCertificates } from '../../src/certificates/renew.ts'
import { revoke as revokeCertificate } from '../../src/certificates/revoke.ts'
import { forgetCommand } from '../../src/cli/commands/forget.ts'
import { list } from '../../src/cli/commands/list.ts'
import { ocsp } from '../../src/cli/commands/ocsp.ts'
import { renewCommand } from '../../src/cli/commands/renew.ts'
import { revokeCommand } from '../../src/cli/commands/revoke.ts'
import { serve } from '../../src/cli/commands/serve.ts'
import { showCommand } from '../../src/cli/commands/show.ts'
import type { Context } from '../../src/cli/context.ts'
import { render } from '../../src/cli/lines.ts'
import { createOutput } from '../../src/cli/output.ts'
import { fileStorage } from '../../src/storage/files/storage.ts'
import { issued, revoked, writeRecord } from '../helpers/filled-record.ts'
import { temporaryDirectory, temporaryState } from '../helpers/temporary.ts'

const start = new Date('2027-03-01T12:00:00Z')
const later = (days: number): Date => new Date(start.getTime() + days * 86_400_000)

/** A state directory, and what commands say that run in it, on a terminal of 80 columns. */
async function opened({ authority = true } = {}) {
  const state = await temporaryState()
  const cwd = await temporaryDirectory()
  if (authority) await ensureAuthority(state, start)
  const said = { lines: '', value: {} as Record<string, unknown>, notes: [] as string[] }
  const print = (lines: Parameters<typeof render>[0]): void =>
    void (said.lines += render(lines, () => false))
  const contextAt = (at: Date): Context => ({
    env: {},
    callerEnv: {},
    cwd,
    state,
    interactive: false,
    now: () => at,
    output: {
      ...createOutput({ json: false, quiet: false, env: {}, selected: {} }),
      isTerminal: true,
      width: 80,
      note: (text) => void said.notes.push(text),
      warn: (text) => void said.notes.push(text),
      result(lines, value) {
        print(lines)
        said.value = typeof value === 'function' ? value() : value
      },
      pages(_name, pages) {
        for (const page of pages) print(page.lines())
      },
    },
  })
  const make = async (name: string, printed = false) => {
    const files = printed ? null : { outDir: cwd }
    return (await issue(state, { names: [name], days: 90, files }, start)).record
  }
  return { state, cwd, said, contextAt, make }
}

test('show and list --all say that a certificate was revoked whose file holds a newer one', async () => {
  const { state, said, contextAt, make } = await opened()
  const { serialNumber, certPath } = await make('a.test')
  await revokeCertificate(fileStorage(state), {
    target: serialNumber,
    reason: 'keyCompromise',
    now: later(1),
  })
  await make('a.test')
  await showCommand({ positionals: [serialNumber.slice(0, 8)] }, contextAt(later(2)))
  const text = said.lines.replace(/\s+/g, ' ')
  expect(text).toContain(`${certPath} holds it no more.`)
  expect(text).toContain('Revoked: keyCompromise, on 2027-03-02 12:00 UTC.')
  expect(said.value).toMatchObject({
    certificates: [],
    record: { serialNumber },
    revocation: { reason: 'keyCompromise', revokedAt: later(1).toISOString() },
  })
  said.lines = ''
  await list({ positionals: [], all: true }, contextAt(later(2)))
  expect(said.lines).toMatch(new RegExp(`a\\.test .* revoked .*${serialNumber.slice(0, 8)}`))
  expect(said.lines).not.toContain('replaced')
})

test('a printed certificate is neither renewed nor forgotten, and the sentence says why', async () => {
  const { contextAt, make } = await opened()
  const { serialNumber } = await make('a.test', true)
  for (const word of ['a.test', serialNumber.slice(0, 8)]) {
    const message = (verb: string): string =>
      `The certificate for ${word} was printed or given to a program, so there is no file to ${verb}.`
    await expect(renewCommand({ positionals: [word] }, contextAt(start))).rejects.toMatchObject({
      code: 'usage',
      message: message('renew'),
      hint: 'To print a new one: rootling issue a.test --stdout',
    })
    await expect(forgetCommand({ positionals: [word] }, contextAt(start))).rejects.toMatchObject({
      code: 'usage',
      message: message('forget'),
      hint: `To have clients refuse it: rootling revoke ${serialNumber.slice(0, 8)}`,
    })
  }
  await make('a.test')
  expect(await renewCommand({ positionals: ['a.test'] }, contextAt(later(1)))).toBe(0)
})

test('the first four to seven digits of a serial number are answered with eight', async () => {
  const { contextAt, make, cwd } = await opened()
  const { serialNumber } = await make('a.test')
  const commands = [showCommand, revokeCommand, renewCommand, forgetCommand]
  for (const length of [4, 6, 7])
    for (const command of commands) {
      const word = serialNumber.slice(0, length)
      await expect(command({ positionals: [word] }, contextAt(start))).rejects.toMatchObject({
        code: 'usage',
        message: `No certificate on record is for ${word}, and for a serial number it is too short.`,
        hint: `Give at least 8 digits, as a list shows them: ${serialNumber.slice(0, 8)}`,
      })
    }
  // A file of such a name is a file.
  const word = serialNumber.slice(0, 7)
  await writeFile(join(cwd, word), 'no certificate')
  await expect(showCommand({ positionals: [word] }, contextAt(start))).rejects.toMatchObject({
    message: expect.not.stringContaining('too short'),
  })
})

test('hints end with a command that can be pasted', async () => {
  const { contextAt, make } = await opened()
  await make('a.test', true)
  await make('a.test', true)
  await expect(forgetCommand({ positionals: [] }, contextAt(start))).rejects.toMatchObject({
    hint: 'For every certificate whose file is gone: rootling forget --all',
  })
  for (const [command, name] of [
    [showCommand, 'show'],
    [revokeCommand, 'revoke'],
  ] as const)
    await expect(command({ positionals: ['a.test'] }, contextAt(start))).rejects.toMatchObject({
      message: expect.stringContaining('names 2 certificates'),
      hint: `Name one by its serial number, or take all: rootling ${name} a.test --all`,
    })
})

test('revoke names a list only where one will have the certificate', async () => {
  const { said, contextAt, make } = await opened()
  const [first, second] = [await make('a.test'), await make('b.test')]
  await revokeCommand({ positionals: [first.serialNumber] }, contextAt(later(90 + 5)))
  expect(said.notes.join('\n')).toContain('from a new list (rootling crl)')
  said.notes.length = 0
  await revokeCommand({ positionals: [second.serialNumber] }, contextAt(later(90 + 9)))
  expect(said.notes.join('\n')).toContain('too long ago for a list')
  expect(said.notes.join('\n')).not.toContain('rootling crl')
})

test('for a port that is taken, ocsp and serve name the whole line with another one', async () => {
  const { contextAt } = await opened()
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  const { port } = server.address() as { port: number }
  const refused = (hint: string) => ({ code: 'port-in-use', hint })
  await expect(ocsp({ positionals: [], port }, contextAt(start))).rejects.toMatchObject(
    refused(`rootling ocsp --port ${port + 1}`),
  )
  const args = { positionals: ['a.test'], host: '127.0.0.1', port, mtls: true }
  await expect(serve(args, contextAt(start))).rejects.toMatchObject(
    refused(`rootling serve a.test --host 127.0.0.1 --port ${port + 1} --mtls`),
  )
  await expect(
    ocsp({ positionals: [], host: '192.0.2.1', port: 0 }, contextAt(start)),
  ).rejects.toMatchObject({ hint: 'rootling ocsp --host 127.0.0.1 --port 0' })
})

test('renew --due fails where a certificate that is due stays, unless it is revoked', async () => {
  const { state, cwd, said, contextAt, make } = await opened()
  const names = Array.from({ length: 11 }, (_, i) => `host${i}.test`)
  for (const name of names) await make(name)
  await make('good.test')
  const due = () => renewCommand({ positionals: [], due: true }, contextAt(later(70)))
  for (const name of names) await writeFile(join(cwd, `${name}.pem`), 'something else')
  expect(await due()).toBe(1)
  expect(said.lines).toContain('good.test')
  expect(said.notes).toEqual(['11 certificates were skipped.'])
  expect((said.value['renewals'] as object[]).every((renewal) => !('over' in renewal))).toBe(true)
  // Before they are due, nothing is lost: `renew --all` leaves them alone.
  const all = (at: Date) => renewCommand({ positionals: [], all: true }, contextAt(at))
  expect(await all(later(10))).toBe(0)
  expect(await all(later(70))).toBe(1)
  for (const name of names) {
    const target = (await renewCertificates(state, { which: 'all' }, {}, later(70))).find(
      ({ previous }) => previous.identifiers[0]?.value === name,
    )?.previous.serialNumber
    await revokeCertificate(fileStorage(state), { target: target ?? '', now: later(70) })
  }
  expect(await due()).toBe(0)
  expect(await all(later(70))).toBe(0)
})

test('of more than a thousand certificates, list names the line that lists all', async () => {
  const { state, said, contextAt } = await opened({ authority: false })
  writeRecord(state, [...Array.from({ length: 1_001 }, (_, i) => issued(i)), revoked(2_000)])
  for (const [options, line] of [
    [{ expired: true }, 'rootling list --expired'],
    [{ all: true }, 'rootling list --all'],
    [{ due: true, expired: true }, 'rootling list --due --expired'],
  ] as const) {
    said.notes.length = 0
    await list({ positionals: [], ...options }, contextAt(later(30)))
    expect(said.notes).toEqual([`These are the newest 1000. To read on: ${line} | less`])
  }
})

test('where the files of all rows are on second lines, so is their title, on the first page alone', async () => {
  const { state, said, contextAt } = await opened({ authority: false })
  const deep = `/${'directory/'.repeat(9)}`
  writeRecord(
    state,
    Array.from({ length: 900 }, (_, i) => issued(i, { certPath: `${deep}${i}.pem` })),
  )
  await list({ positionals: [], all: true }, contextAt(start))
  const lines = said.lines.split('\n')
  expect(lines.slice(0, 2)).toEqual([expect.stringMatching(/^NAMES .*SERIAL$/), '    FILE'])
  expect(lines[3]).toMatch(/^ {4}\/directory/)
  expect(lines.filter((line) => line.includes('FILE'))).toHaveLength(1)
  // A row whose file is beside the other cells has the title above it.
  said.lines = ''
  writeRecord(state, [issued(1, { certPath: `${deep}1.pem` }), issued(2, { certPath: null })])
  await list({ positionals: [], all: true }, contextAt(start))
  expect(said.lines.split('\n')[0]).toMatch(/^NAMES .*FILE$/)
})
