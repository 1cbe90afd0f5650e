import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { appHost, appNaming } from '../../src/project/app-name.ts'
import { temporaryDirectory } from '../helpers/temporary.ts'

const namingIn = (cwd: string) => appNaming({ cwd, env: {}, owner: null })

/** Makes files below a new directory, and returns the path of one directory there. */
async function tree(files: Record<string, string>, directory = '.'): Promise<string> {
  const root = await temporaryDirectory()
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(join(root, path, '..'), { recursive: true })
    writeFileSync(join(root, path), text)
  }
  return join(root, directory)
}

test('a project is named by the package.json at its root, or by its directory', async () => {
  const named = await tree(
    { 'a/.git/HEAD': '', 'a/package.json': '{"name":"@acme/Web Shop"}', 'a/b/c': '' },
    'a/b',
  )
  expect(await namingIn(named)).toEqual({ project: 'web-shop', branch: null })
  const unnamed = await tree(
    { 'My Shop!/.git/HEAD': '', 'My Shop!/package.json': '{"name":3}' },
    'My Shop!',
  )
  expect(await namingIn(unnamed)).toEqual({ project: 'my-shop', branch: null })
  const damaged = await tree({ 'shop/.git/HEAD': '', 'shop/package.json': '{' }, 'shop')
  expect(await namingIn(damaged)).toEqual({ project: 'shop', branch: null })
  const plain = await tree({ 'x/package.json': '{"name":"solo"}' }, 'x')
  expect(await namingIn(plain)).toEqual({ project: 'solo', branch: null })
  expect(await namingIn(await tree({}))).toEqual({ project: null, branch: null })
})

test('a linked worktree of Git has its branch in front, and the main one’s name', async () => {
  const worktree = (head: string, git = 'gitdir: ../shop/.git/worktrees/w\n') =>
    tree({ 'shop/.git/worktrees/w/HEAD': head, 'w/.git': git }, 'w')
  expect(await namingIn(await worktree('ref: refs/heads/feat/Log-in_2\n'))).toEqual({
    project: 'shop',
    branch: 'feat-log-in-2',
  })
  // Detached: the name of the worktree itself.
  expect(await namingIn(await worktree(`${'a'.repeat(40)}\n`))).toMatchObject({ branch: 'w' })
  expect(await namingIn(await worktree('ref: refs/heads/main\n'))).toMatchObject({ branch: null })
  const submodule = await worktree('', 'gitdir: ../shop/.git/modules/w\n')
  expect(await namingIn(submodule)).toEqual({ project: 'w', branch: null })
  expect(await namingIn(await worktree('', 'nonsense'))).toEqual({ project: 'w', branch: null })
})

test('a host is below the project’s, and a name with a dot stays', () => {
  const naming = { project: 'shop', branch: null }
  expect(appHost('api', naming)).toBe('api.shop.localhost')
  expect(appHost('API', naming)).toBe('api.shop.localhost')
  expect(appHost('shop', naming)).toBe('shop.localhost')
  expect(appHost('api.test', naming)).toBe('api.test')
  expect(appHost('*.shop.localhost', naming)).toBe('*.shop.localhost')
  expect(appHost('localhost', naming)).toBe('localhost')
  expect(appHost('api', { project: null, branch: null })).toBe('api.localhost')
  const branch = { project: 'shop', branch: 'fix' }
  expect([appHost('api', branch), appHost('shop', branch)]).toEqual([
    'fix.api.shop.localhost',
    'fix.shop.localhost',
  ])
  expect(() => appHost('a b', naming)).toThrow('contains a space')
})
