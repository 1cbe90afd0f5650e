import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { ensureAuthority } from '../../src/authority/create.ts'
import { issue } from '../../src/certificates/issue.ts'
import { readRecord } from '../../src/storage/files/record.ts'
import { openHome } from '../helpers/home.ts'
import { temporaryState } from '../helpers/temporary.ts'
import { runTool } from '../helpers/tools.ts'

test('the record names a damaged line, changes nothing, and its hint mends it', async () => {
  const state = await temporaryState()
  await ensureAuthority(state, new Date())
  const path = join(state.path, 'certificates.jsonl')
  await issue(state, { names: ['localhost'], files: null }, new Date())
  await issue(state, { names: ['localhost'], files: null }, new Date())
  const lines = (await readFile(path, 'utf8')).split('\n')
  const text = [lines[0], '{"event":"issued"', ...lines.slice(1)].join('\n')
  await writeFile(path, text)
  const error: unknown = await readRecord(state).catch((reason: unknown) => reason)
  expect(error).toMatchObject({
    code: 'corrupt-state',
    message: `Line 2 of the record ${path} is damaged.`,
  })
  expect(await readFile(path, 'utf8')).toBe(text)
  const command = /(sed .*)$/.exec((error as { hint: string }).hint)?.[1] ?? 'false'
  expect((await runTool('sh', ['-c', command])).exitCode).toBe(0)
  expect(await readRecord(state)).toHaveLength(2)
})

test('several damaged lines make one warning, and one finding, whose command mends them', async () => {
  const { rootling, json, createAuthority, run, directory } = openHome()
  await createAuthority()
  for (const name of ['a.test', 'b.test', 'c.test']) await rootling(['issue', name])
  const path = join(directory, 'state/certificates.jsonl')
  const whole = await readFile(path, 'utf8')
  const [first = '', ...rest] = whole.split('\n')
  await writeFile(path, [first, 'rubbish', rest[0], '{}', ...rest.slice(1)].join('\n'))
  const sentence = `Lines 2, 4 of the record ${path} are damaged.`
  const command = `sed -i '2d;4d' ${path}`
  const remedy = `Restore it from a backup, or delete those lines: ${command}`
  const { value } = await json(['list', '--all'])
  expect(value['warnings']).toEqual([`${sentence} They were skipped. ${remedy}`])
  expect((await json(['doctor'])).value['findings']).toContainEqual(
    expect.objectContaining({ code: 'damaged-state', subject: 'the record', sentence, remedy }),
  )
  expect((await rootling(['revoke', 'a.test.pem'])).stderr).toContain(sentence)
  expect((await run('sh', ['-c', command])).exitCode).toBe(0)
  expect(await readFile(path, 'utf8')).toBe(whole)
})

test('damaged lines are skipped and told by list, status and renew, and stop what revokes', async () => {
  const { rootling, json, createAuthority, directory } = openHome()
  await createAuthority()
  for (const name of ['a.test', 'b.test', 'c.test']) await rootling(['issue', name])
  const path = join(directory, 'state/certificates.jsonl')
  const b = (await readFile(path, 'utf8')).split('\n')[2] ?? ''
  const said = (number: number): string => `Line ${number} of the record ${path} is damaged. It was`
  const strange: [string, string][] = [
    ['"scope":"local"', '"scope":"../local"'],
    ['"keyType":"p256"', '"keyType":"p256; true"'],
    [`"certPath":"${directory}/`, '"certPath":"'],
    [`"keyPath":"${directory}/`, '"keyPath":"./'],
    ['"type":"dns"', '"type":"host"'],
    ['"value":"b.test"', '"value":"b.test\\n"'],
    [b.slice(0, 60), `${b.slice(0, 60)}"`],
  ]
  for (const [found, planted] of strange) {
    expect(b).toContain(found)
    const lines = (await readFile(path, 'utf8')).split('\n')
    await writeFile(path, lines.with(2, b.replace(found, planted)).join('\n'))
    const before = await readFile(join(directory, 'b.test.pem'), 'utf8')
    const renewed = await rootling(['renew', '--all'])
    expect(renewed).toMatchObject({ exitCode: 0, stderr: expect.stringContaining(said(3)) })
    expect(renewed.stdout).toMatch(/✓ +a\.test +until[\s\S]*✓ +c\.test +until/)
    expect(await readFile(join(directory, 'b.test.pem'), 'utf8')).toBe(before)
    for (const args of [['list'], ['list', '--all'], ['status']])
      expect((await rootling(args)).stderr).toContain(said(3))
    expect((await json(['list'])).value).toMatchObject({
      warnings: [expect.stringContaining(said(3))],
    })
    expect(await rootling(['revoke', 'a.test.pem'])).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining(`Line 3 of the record ${path} is damaged.`),
    })
  }
})
