import { describe, expect, test } from 'vitest'
import { ensureAuthority, permitScope } from '../../src/authority/create.ts'
import { forgetScope } from '../../src/authority/delete.ts'
import { readScopes } from '../../src/authority/scope.ts'
import { issue } from '../../src/certificates/issue.ts'
import type { StateDirectory } from '../../src/home/state-directory.ts'
import { temporaryState } from '../helpers/temporary.ts'
import { treeOf } from '../helpers/tree.ts'

const now = new Date()
const names = async (state: StateDirectory) => (await readScopes(state)).map(({ name }) => name)

async function withAuthority(): Promise<StateDirectory> {
  const state = await temporaryState()
  await ensureAuthority(state, now)
  return state
}

test('an authority that is there is returned as it is', async () => {
  const state = await temporaryState()
  const first = await ensureAuthority(state, now)
  const second = await ensureAuthority(state, now)
  expect([first.created, second.created]).toEqual([true, false])
  expect(second.scope.root.raw).toEqual(first.scope.root.raw)
})

test('permitting the same names again, in another order and spelling, adds nothing', async () => {
  const state = await withAuthority()
  const first = await permitScope(state, { permit: ['Dev.Example.com', '10.9.8.7/8'] }, now)
  const second = await permitScope(state, { permit: ['10.0.0.0/8', '*.dev.example.com'] }, now)
  expect([first.created, second.created]).toEqual([true, false])
  expect(second.scope.name).toBe('dev-example-com')
  expect(second.scope.permitted).toEqual(['dev.example.com', '10.0.0.0/8'])
  expect(await names(state)).toEqual(['local', 'dev-example-com'])
})

test('permitting more changes nothing of what was there', async () => {
  const state = await withAuthority()
  const local = `${state.path}/scopes/local`
  const before = treeOf(local)
  await permitScope(state, { permit: ['dev.example.com'] }, now)
  await permitScope(state, { permit: [], unconstrained: true }, now)
  expect(treeOf(local)).toEqual(before)
  expect(Object.keys(before)).toHaveLength(6)
})

test('a name that was chosen and means something else is refused', async () => {
  const state = await withAuthority()
  await permitScope(state, { permit: ['a.example.com'], name: 'work' }, now)
  const again = permitScope(state, { permit: ['b.example.com'], name: 'work' }, now)
  await expect(again).rejects.toMatchObject({
    code: 'scope-exists',
    message: 'A scope named work permits something else.',
    hint: 'Choose another name with --name, or add the names to that scope: rootling ca permit b.example.com --name work --add',
  })
  expect(await names(state)).toEqual(['local', 'work'])
})

test('a name that nobody chose is counted up when another scope bears it', async () => {
  const state = await withAuthority()
  await permitScope(state, { permit: ['a.example.com'] }, now)
  await permitScope(state, { permit: ['a.example.com', 'b.example.com'] }, now)
  await permitScope(state, { permit: ['a-example.com'] }, now)
  expect(await names(state)).toEqual([
    'local',
    'a-example-com',
    'a-example-com-2',
    'a-example-com-3',
  ])
})

test('permitting what a scope permits already adds nothing, unless another name is chosen', async () => {
  const state = await withAuthority()
  await permitScope(state, { permit: ['example.com', '100.64.0.0/10'] }, now)
  const covered = [['a.example.com'], ['shop.test'], ['100.65.0.0/16', '10.1.0.0/16', '::1']]
  for (const permit of covered)
    expect(await permitScope(state, { permit }, now)).toMatchObject({ created: false })
  expect(await names(state)).toEqual(['local', 'example-com'])
  await permitScope(state, { permit: ['a.example.com'], name: 'work' }, now)
  await permitScope(state, { permit: ['100.0.0.0/8'] }, now)
  await permitScope(state, { permit: ['xexample.com'] }, now)
  expect(await names(state)).toEqual([
    'local',
    '100-0-0-0-8',
    'example-com',
    'work',
    'xexample-com',
  ])
})

test('names that two scopes permit apart are not called outside', async () => {
  const state = await withAuthority()
  await permitScope(state, { permit: ['a.example.com'], name: 'x' }, now)
  await permitScope(state, { permit: ['b.example.org'], name: 'y' }, now)
  const request = { names: ['a.example.com', 'b.example.org'], files: null }
  await expect(issue(state, request, now)).rejects.toMatchObject({
    code: 'not-permitted',
    message:
      'No single scope permits all these names: a.example.com by x, b.example.org by y. A certificate is signed by one scope.',
    hint: 'rootling ca permit a.example.com b.example.org',
  })
  await obey(state, 'rootling ca permit a.example.com b.example.org')
  expect((await issue(state, request, now)).record.scope).toBe('a-example-com')
})

test('a forgotten scope is gone, and forgetting it again is no error', async () => {
  const state = await withAuthority()
  await permitScope(state, { permit: ['a.example.com'], name: 'work' }, now)
  await forgetScope(state, 'work')
  await forgetScope(state, 'work')
  expect(await names(state)).toEqual(['local'])
})

describe('too much is refused', () => {
  test.each([
    [['com'], 'com is a whole top-level domain.'],
    [['*.dev'], 'dev is a whole top-level domain.'],
    [['0.0.0.0/0'], '0.0.0.0/0 is every address there is.'],
    [['::/0'], '::/0 is every address there is.'],
    [['128.0.0.0/1'], '128.0.0.0/1 holds a large part of all addresses.'],
    [['10.1.0.0/16', '8000::/1'], '8000::/1 holds a large part of all addresses.'],
    [['me@example.com'], 'me@example.com is neither a domain nor an address range.'],
    [[], 'Name the domains or address ranges to permit.'],
  ])('%j', async (permit, message) => {
    const state = await withAuthority()
    const refused = permitScope(state, { permit }, now)
    await expect(refused).rejects.toMatchObject({ code: 'usage', message })
    expect(await names(state)).toEqual(['local'])
  })

  test('but what somebody insists on, short of every address', async () => {
    const state = await withAuthority()
    const { scope } = await permitScope(state, { permit: ['com', '128.0.0.0/1'], force: true }, now)
    expect(scope.permitted).toEqual(['com', '128.0.0.0/1'])
    const all = permitScope(state, { permit: ['0.0.0.0/0'], force: true }, now)
    await expect(all).rejects.toMatchObject({ code: 'usage' })
  })

  test('names for a scope that may sign any name', async () => {
    const request = { permit: ['a.example.com'], unconstrained: true }
    await expect(permitScope(await withAuthority(), request, now)).rejects.toMatchObject({
      code: 'usage',
      message: 'An unconstrained scope takes no names: it may sign any.',
    })
  })

  test.each(['local', 'Work', '../x', '', '-a', 'a'.repeat(64)])('the name %j', async (name) => {
    const request = { permit: ['a.example.com'], name }
    await expect(permitScope(await withAuthority(), request, now)).rejects.toMatchObject({
      code: 'usage',
      message: `${name} cannot be the name of a new scope.`,
    })
  })

  test('a whole top-level domain is permitted when insisted upon', async () => {
    const { scope } = await permitScope(
      await withAuthority(),
      { permit: ['dev'], force: true },
      now,
    )
    expect(scope.permitted).toEqual(['dev'])
  })
})

/** What the hint of a refusal says, done. */
async function obey(state: StateDirectory, hint: string): Promise<void> {
  // A bare host's hint first proposes a name below localhost.
  const line = hint.slice(hint.indexOf('rootling ca permit'))
  const [program, ca, permit, ...rest] = line.split(' ')
  expect([program, ca, permit]).toEqual(['rootling', 'ca', 'permit'])
  await permitScope(
    state,
    {
      permit: rest.filter((word) => !word.startsWith('--')),
      force: rest.includes('--force'),
      unconstrained: rest.includes('--unconstrained'),
    },
    now,
  )
}

test.each([
  [['dev.example.com']],
  [['*.dev.example.com', 'localhost', '8.8.8.8', '2606:4700::1111']],
  [['me@example.com', 'localhost']],
  [['bücher.example.com']],
  [['spiffe://example.com/web', 'x.example.org']],
  [['spiffe://EXAMPLE.com:8443/web']],
  [['urn:uuid:0']],
  [['spiffe://8.8.8.8/web']],
  [['bare-host']],
  [['printer', 'a.example.com']],
  [['::ffff:8.8.8.8']],
])('the hint for %j, obeyed, makes the same request succeed', async (wanted) => {
  const state = await withAuthority()
  // Its default name is the one that the hint's scope would get.
  await permitScope(state, { permit: ['dev.example.com', 'other.example.com'] }, now)
  const request = { names: wanted, files: null }
  const state2 = wanted[0] === 'dev.example.com' ? await withAuthority() : state
  const error: unknown = await issue(state2, request, now).catch((reason: unknown) => reason)
  expect(error).toMatchObject({ code: 'not-permitted' })
  await obey(state2, (error as { hint: string }).hint)
  expect((await issue(state2, request, now)).record.identifiers).toHaveLength(wanted.length)
})

test('a hint names all that one new scope needs, what other scopes permit included', async () => {
  const state = await withAuthority()
  await permitScope(state, { permit: ['a.example.com'] }, now)
  const request = { names: ['a.example.com', 'b.example.com'], files: null }
  await expect(issue(state, request, now)).rejects.toMatchObject({
    message:
      'b.example.com is outside the names that this authority may sign; browsers would refuse it.',
    hint: 'rootling ca permit a.example.com b.example.com',
  })
  await obey(state, 'rootling ca permit a.example.com b.example.com')
  expect((await issue(state, request, now)).record.scope).toBe('a-example-com-2')
})

test('the narrowest scope that covers the names signs them', async () => {
  const state = await withAuthority()
  await permitScope(state, { permit: [], unconstrained: true, name: 'a-any' }, now)
  await permitScope(state, { permit: ['a.example.com', 'b.example.com'], name: 'b-both' }, now)
  await permitScope(state, { permit: ['a.example.com'], name: 'c-one' }, now)
  const scopeOf = async (...names: string[]) =>
    (await issue(state, { names, files: null }, now)).record.scope
  expect(await scopeOf('localhost')).toBe('local')
  expect(await scopeOf('localhost', 'a.example.com')).toBe('c-one')
  expect(await scopeOf('a.example.com', 'b.example.com')).toBe('b-both')
  expect(await scopeOf('bank.com')).toBe('a-any')
})
