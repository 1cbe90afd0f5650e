import type * as Fs from 'node:fs'
import { beforeEach, expect, test, vi } from 'vitest'
import { renew } from '../../src/certificates/renew.ts'
import { makeWorld } from '../helpers/authority.ts'
import { issued, writeRecord } from '../helpers/filled-record.ts'

const { opened } = vi.hoisted(() => ({ opened: { paths: [] as string[] } }))
vi.mock('node:fs', async (original) => {
  const fs = await original<typeof Fs>()
  const openSync = (...args: Parameters<typeof fs.openSync>): number => {
    opened.paths.push(String(args[0]))
    return fs.openSync(...args)
  }
  return { ...fs, openSync, default: { ...fs, openSync } }
})
beforeEach(() => void (opened.paths = []))

test('files that vanished cost one look each, and no lock', async () => {
  const { state } = await makeWorld()
  const count = 300
  writeRecord(
    state,
    Array.from({ length: count }, (_, i) => issued(i, { certPath: `/nowhere/${i}.pem` })),
  )
  opened.paths = []
  const renewals = await renew(state, { which: 'all' }, {}, new Date())
  expect(renewals).toHaveLength(count)
  for (const { outcome, reason, previous } of renewals)
    expect([outcome, reason]).toEqual(['skipped', `${previous.certPath} is gone.`])
  expect(opened.paths.filter((path) => path.endsWith('/lock'))).toEqual([])
  // Beside the files themselves, only the record and the scope are opened.
  expect(opened.paths.filter((path) => !path.startsWith('/nowhere/')).length).toBeLessThan(20)
})
