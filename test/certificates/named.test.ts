import { copyFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import { ensureAuthority } from '../../src/authority/create.ts'
import { clientFileOf } from '../../src/certificates/client-file.ts'
import { forget } from '../../src/certificates/forget.ts'
import { issueIfNeeded } from '../../src/certificates/if-needed.ts'
import { issue } from '../../src/certificates/issue.ts'
import { refuseMoved } from '../../src/certificates/moved.ts'
import { certificatesNamed, readNamed } from '../../src/certificates/named.ts'
import { keptPassword } from '../../src/certificates/pkcs12-passwords.ts'
import { renew } from '../../src/certificates/renew.ts'
import { show } from '../../src/doctor/show.ts'
import { readInventory, recordIssued } from '../../src/storage/files/record.ts'
import type { CertificateRecord } from '../../src/storage/records.ts'
import { certificate, forgotten, issued, revoked, writeRecord } from '../helpers/filled-record.ts'
import { commonNameText } from '../../src/x509/subject.ts'
import { temporaryState } from '../helpers/temporary.ts'

const serialOf = (i: number): string => i.toString(16).padStart(4, '0').repeat(8)

/** A certificate whose serial number has other first digits than those of the others. */
const one = (i: number, given: Partial<CertificateRecord> = {}): object =>
  issued(i, { serialNumber: serialOf(i), ...given })

const ofFile = (certPath: string): Partial<CertificateRecord> => ({
  certPath,
  identifiers: [{ type: 'dns', value: 'a.test' }],
})

test('a word finds in few lines what it finds in the whole record', async () => {
  const state = await temporaryState()
  const file = join(state.path, 'a "quoted" \\ name.pem')
  const person = {
    identifiers: [],
    subject: commonNameText('Ann "B" , Smith'),
    purpose: 'client',
  } as const
  const p12 = [{ format: 'pkcs12', path: '/files/p.p12' }] as const
  writeRecord(state, [
    ...Array.from({ length: 40 }, (_, i) => one(i + 1)),
    one(100, ofFile(file)),
    one(101, ofFile('/files/a.pem')),
    one(102, { ...person, certPath: null, extra: p12 }),
    one(103, { identifiers: [{ type: 'dns', value: 'many.test' }], certPath: file }),
    { ...revoked(0), serialNumber: serialOf(101) },
    ...Array.from({ length: 40 }, (_, i) =>
      one(i + 200, { identifiers: [{ type: 'dns', value: 'many.test' }] }),
    ),
    { ...forgotten(0), serialNumber: serialOf(7) },
    one(300, { certPath: '/files/host200.pem' }),
  ])
  const whole = await readInventory(state)
  const colons = serialOf(100).match(/../g)?.join(':').toUpperCase() ?? ''
  const words = [
    ...['a.test', 'A.TEST', 'many.test', 'host3.localhost', 'host7.localhost', 'none.test', ''],
    ...['Ann "B" , Smith', commonNameText('Ann "B" , Smith'), '/', '.', 'ab', file, '/files/p.p12'],
    ...['/files/host200.pem', '/files/host5.pem', 'a "quoted" \\ name.pem', 'host6.pem'],
    ...[
      serialOf(100),
      serialOf(200).slice(0, 8),
      serialOf(7),
      `${serialOf(5).slice(0, 9)}…`,
      colons,
    ],
  ]
  const found = new Set<string>()
  for (const word of words) {
    const named = await readNamed(state, word, state.path)
    expect([word, named]).toEqual([word, certificatesNamed(whole, word, state.path)])
    for (const { serialNumber } of named) found.add(serialNumber)
  }
  expect(found.size).toBeGreaterThan(40)
})

test('what asks for one certificate of thousands parses few lines of the record', async () => {
  const state = await temporaryState()
  await ensureAuthority(state, new Date())
  const [notBefore, notAfter] = [-1, 300].map((days) =>
    new Date(Date.now() + days * 86_400_000).toISOString(),
  ) as [string, string]
  const others = Array.from({ length: 2_000 }, (_, i) =>
    certificate(i, { serialNumber: serialOf(i), notBefore, notAfter }),
  )
  await recordIssued(state, others.slice(0, 1_000))
  const files = { outDir: state.path.replace(/[^/\\]+$/, '') }
  const request = { names: ['localhost'], files }
  const { record } = await issue(state, request, new Date())
  await recordIssued(state, others.slice(1_000))
  const moved = join(files.outDir, 'moved.pem')
  await copyFile(record.certPath ?? '', moved)
  const parse = vi.spyOn(JSON, 'parse')
  onTestFinished(() => parse.mockRestore())
  const { serialNumber } = record
  const questions: [string, () => Promise<unknown>][] = [
    ['named', () => readNamed(state, 'localhost', files.outDir)],
    ['show', () => show(state, { from: 'record', serialNumber }, new Date())],
    ['if needed', () => issueIfNeeded(state, request, new Date())],
    ['moved', () => expect(refuseMoved(state, moved)).rejects.toThrow('is a copy of')],
    ['client', () => clientFileOf(state, 'ann@example.com')],
    ['password', () => keptPassword(state, '/files/none.p12')],
    ['forget', () => forget(state, { words: [serialOf(5)], cwd: '/', all: false }, new Date())],
    ['renew', () => renew(state, { which: 'named', names: ['localhost'] }, {}, new Date())],
  ]
  for (const [name, ask] of questions) {
    parse.mockClear()
    await ask()
    expect([name, parse.mock.calls.length < 50]).toEqual([name, true])
  }
})
