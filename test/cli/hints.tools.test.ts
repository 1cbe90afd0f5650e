import { renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { builtPrograms } from '../helpers/built.ts'
import { openHome } from '../helpers/home.ts'
import { createSide } from './mkcert/both.ts'

// A hint names the authority of the run: pasted, it must not delete another one.

/** A home with an authority `work`, whose key is damaged, and a default one, which is well. */
async function withDamagedWork() {
  const home = openHome()
  await home.createAuthority()
  const work = join(home.directory, 'state/authorities/work')
  await home.run('mkdir', ['-p', join(home.directory, 'state/authorities')])
  renameSync(join(home.directory, 'state/scopes'), join(home.directory, 'scopes'))
  await home.run('mkdir', ['-m', '700', work])
  renameSync(join(home.directory, 'scopes'), join(work, 'scopes'))
  await home.createAuthority()
  writeFileSync(join(work, 'scopes/local/intermediate-key.pem'), 'damaged')
  return home
}

test('of a damaged key under --ca work names --ca work and ROOTLING_HOME in each command', async () => {
  const { directory, rootling, json } = await withDamagedWork()
  const home = `ROOTLING_HOME=${join(directory, 'state')}`
  const hint =
    'Restore it from a backup, or start anew, which deletes the scope local with its key: ' +
    `${home} rootling ca forget --ca work local; ${home} rootling install --ca work`
  for (const ca of [['--ca', 'work'], ['--ca=work']]) {
    const { exitCode, stderr } = await rootling(['issue', 'localhost', ...ca])
    expect([exitCode, stderr.split('\n  → ')[1]]).toEqual([1, `${hint}\n`])
  }
  const { exitCode, value } = await json(['issue', 'localhost', '--ca', 'work'])
  expect([exitCode, value['error']]).toEqual([1, expect.objectContaining({ hint })])
})

test('in a result, in text and in --json, is completed too', async () => {
  const { directory, rootling, json, createAuthority } = openHome()
  await createAuthority()
  expect((await rootling(['issue', 'shop.test'])).exitCode).toBe(0)
  await rootling(['revoke', 'shop.test.pem'])
  const hint = `ROOTLING_HOME=${join(directory, 'state')} rootling issue shop.test`
  expect((await rootling(['renew', 'shop.test'])).stdout).toContain(hint)
  expect((await json(['renew', 'shop.test'])).value['renewals']).toMatchObject([{ hint }])
})

test('of rootling-mkcert names $CAROOT in each command', async () => {
  const side = createSide(builtPrograms().mkcert)
  try {
    const cwd = side.directory()
    expect((await side.run(['shop.test'], cwd)).exitCode).toBe(0)
    writeFileSync(join(side.caroot, 'scopes/local/intermediate-key.pem'), 'damaged')
    const { exitCode, stderr } = await side.run(['shop.test'], cwd)
    const home = `ROOTLING_HOME=${side.caroot}`
    expect([exitCode, stderr]).toEqual([
      1,
      expect.stringContaining(`: ${home} rootling ca forget local; ${home} rootling install\n`),
    ])
  } finally {
    side.remove()
  }
})
