import { X509Certificate } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { ensureAuthority, ensureScopeFor, permitScope } from '../../src/authority/create.ts'
import { forgetScope } from '../../src/authority/delete.ts'
import { readScopes } from '../../src/authority/scope.ts'
import { beginRotation, finishRotation, switchRotation } from '../../src/trust/rotate.ts'
import { pemBlocks } from '../../src/x509/pem.ts'
import { openHome } from '../helpers/home.ts'

const now = new Date()

async function open() {
  const home = openHome()
  await home.createAuthority()
  const state = { path: join(home.directory, 'state'), owner: null }
  const rootsIn = (pem: string) => pemBlocks(pem).map(({ der }) => der.toString('hex'))
  const path = async () => (await home.rootling(['ca', 'path'])).stdout.trim()
  /** The roots of scopes for servers; those of clients are for servers alone. */
  const own = async () =>
    (await readScopes(state))
      .filter(({ use }) => use === 'servers')
      .map(({ root }) => root.raw.toString('hex'))
  return { ...home, state, rootsIn, path, own }
}

test('ca path is one file of all roots, which follows every change in place', async () => {
  const { state, rootsIn, path, own } = await open()
  const file = await path()
  const held = () => rootsIn(readFileSync(file, 'utf8'))
  expect(held()).toEqual(await own())
  await permitScope(state, { permit: ['dev.example.com'], name: 'work' }, now)
  await ensureScopeFor(state, 'clients', now)
  expect(held()).toHaveLength(2)
  expect(held()).toEqual(await own())
  const before = held()
  const begun = await beginRotation(state, 'work', now)
  expect(held()).toEqual([...before, begun.next.root.raw.toString('hex')])
  const switched = await switchRotation(state, begun)
  expect(held()).toHaveLength(3)
  await finishRotation(state, switched)
  expect(held()).toEqual(await own())
  expect(held()).not.toEqual(before)
  await forgetScope(state, 'work')
  expect(held()).toEqual(await own())
  expect(held()).toHaveLength(1)
  expect(await path()).toBe(file)
  expect(new X509Certificate(readFileSync(file)).ca).toBe(true)
})

test('ca path makes the file again where it was changed, and one scope has its own', async () => {
  const { state, rootling, rootsIn, path, own } = await open()
  const file = await path()
  writeFileSync(file, readFileSync(file, 'utf8').slice(0, 200))
  expect(rootsIn(readFileSync(await path(), 'utf8'))).toEqual(await own())
  writeFileSync(file, 'precious')
  const refused = await rootling(['ca', 'path'])
  expect([refused.exitCode, refused.stdout, refused.stderr]).toEqual([
    1,
    '',
    expect.stringContaining('roots.pem is there already, and Rootling did not write it.'),
  ])
  expect(readFileSync(file, 'utf8')).toBe('precious')
  const one = await rootling(['ca', 'path', 'local'])
  expect(one.stdout).toBe(`${join(state.path, 'scopes/local/root.pem')}\n`)
})

test('ca path --openssl is one file of all roots, with the copies of hardened ones', async () => {
  const home = openHome()
  const state = { path: join(home.directory, 'state'), owner: null }
  const scopes = join(state.path, 'scopes')
  await ensureAuthority(state, now, true)
  await permitScope(state, { permit: [], unconstrained: true, name: 'any' }, now)
  const { stdout, stderr } = await home.rootling(['ca', 'path', '--openssl'])
  const file = join(state.path, 'roots-openssl.pem')
  expect([stdout, stderr]).toEqual([`${file}\n`, ''])
  const held = () => pemBlocks(readFileSync(file, 'utf8')).map(({ der }) => der.toString('hex'))
  const of = (...names: string[]) =>
    names.flatMap((name) =>
      pemBlocks(readFileSync(join(scopes, name), 'utf8')).map(({ der }) => der.toString('hex')),
    )
  expect(held()).toEqual(of('local/root-openssl.pem', 'any/root.pem'))
  expect(held()).toHaveLength(3)
  const before = held()
  const begun = await beginRotation(state, 'local', now)
  expect(held()).toHaveLength(5)
  await finishRotation(state, await switchRotation(state, begun))
  expect(held()).toEqual(of('local/root-openssl.pem', 'any/root.pem'))
  expect(held()).not.toEqual(before)
  expect(existsSync(join(state.path, 'roots.pem'))).toBe(false)
  writeFileSync(file, 'precious')
  const refused = await home.rootling(['ca', 'path', '--openssl'])
  expect([refused.exitCode, refused.stderr]).toEqual([
    1,
    expect.stringMatching(/roots-openssl\.pem is there already.*[^]*ca path local --openssl/),
  ])
  expect(readFileSync(file, 'utf8')).toBe('precious')
})

test('ca export --all gives the roots of all scopes', async () => {
  const { state, directory, rootling, run, rootsIn, own } = await open()
  await permitScope(state, { permit: ['dev.example.com'], name: 'work' }, now)
  const all = await rootling(['ca', 'export', '--all'])
  expect(rootsIn(all.stdout)).toEqual(await own())
  expect(rootsIn((await rootling(['ca', 'export'])).stdout)).toHaveLength(1)
  const store = ['--all', '--format', 'pkcs12', '--out', 'all.p12']
  expect((await rootling(['ca', 'export', ...store])).exitCode).toBe(0)
  const read = ['pkcs12', '-in', 'all.p12', '-passin', 'pass:changeit', '-nokeys']
  expect(rootsIn((await run('openssl', read)).stdout).toSorted()).toEqual((await own()).toSorted())
  for (const wrong of [['work'], ['--format', 'der', '--out', 'all.der']]) {
    const refused = await rootling(['ca', 'export', '--all', ...wrong])
    expect([refused.exitCode, refused.stderr]).toEqual([2, expect.stringContaining('--all')])
  }
  expect(existsSync(join(directory, 'all.der'))).toBe(false)
})
