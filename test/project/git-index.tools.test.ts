import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import { surelyIgnored } from '../../src/project/git-index.ts'
import { temporaryDirectory } from '../helpers/temporary.ts'

const key = '.certs/shop-key.pem'

/** A repository with a commit of one file, whose .gitignore names the key. */
async function repository() {
  const root = await temporaryDirectory()
  const git = (...args: string[]) =>
    execFileSync('git', ['-C', root, '-c', 'user.name=a', '-c', 'user.email=a@b.test', ...args], {
      stdio: ['ignore', 'pipe', 'inherit'],
      encoding: 'utf8',
    })
  const write = (path: string, text: string) => {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), text)
  }
  git('init', '--quiet')
  write('.gitignore', `/${key}\n`)
  write('src/main.c', '')
  const answer = (directory = root) => surelyIgnored({ directory, root, git: true }, [key])
  return { root, git, write, answer }
}

test('spares a question of Git where nothing was committed yet', async () => {
  expect((await repository()).answer()).toBe(true)
})

test.each([
  ['2', true],
  ['3', true],
  ['4', false],
])('reads an index of version %s: %s', async (version, expected) => {
  const { root, git, answer } = await repository()
  git('add', '.')
  if (version === '3') {
    // An entry that is only intended needs the longer form.
    rmSync(join(root, 'src/main.c'))
    git('update-index', '--skip-worktree', 'src/main.c')
  } else git('update-index', '--index-version', version)
  expect(readFileSync(join(root, '.git/index')).readUInt32BE(4)).toBe(Number(version))
  expect(answer()).toBe(expected)
})

test('asks Git about a file that it tracks, also of a project below the root', async () => {
  const { root, git, write, answer } = await repository()
  write(`app/${key}`, 'old')
  write('app/.gitignore', `/${key}\n`)
  git('add', '-f', `app/${key}`)
  expect(answer(join(root, 'app'))).toBe(false)
  git('rm', '-q', '--cached', '-f', `app/${key}`)
  expect(answer(join(root, 'app'))).toBe(true)
})

test.each([
  ['a .gitignore below', ({ write }) => write('.certs/.gitignore', '*\n')],
  [
    'a link in the place of .gitignore',
    ({ root }) => {
      rmSync(join(root, '.gitignore'))
      symlinkSync('elsewhere', join(root, '.gitignore'))
    },
  ],
  ['a split index', ({ git }) => git('update-index', '--split-index')],
  [
    'a sparse index',
    ({ git }) => {
      git('commit', '--quiet', '-m', 'one')
      git('sparse-checkout', 'set', '--sparse-index', 'docs')
    },
  ],
  ['a damaged index', ({ write }) => write('.git/index', 'DIR')],
  [
    'a worktree',
    ({ root, write }) => {
      rmSync(join(root, '.git'), { recursive: true })
      write('.git', 'gitdir: elsewhere\n')
    },
  ],
] satisfies [string, (of: Awaited<ReturnType<typeof repository>>) => unknown][])(
  'asks Git where there is %s',
  async (_, change) => {
    const of = await repository()
    of.git('add', '.')
    expect(of.answer()).toBe(true)
    change(of)
    expect(of.answer()).toBe(false)
  },
)
