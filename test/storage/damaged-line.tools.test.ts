import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { ensureAuthority } from '../../src/authority/create.ts'
import { issue } from '../../src/certificates/issue.ts'
import { readRecord } from '../../src/storage/files/record.ts'
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
