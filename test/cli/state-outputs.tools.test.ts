import { realpathSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { builtPrograms } from '../helpers/built.ts'
import { openHome } from '../helpers/home.ts'
import { treeOf } from '../helpers/tree.ts'

// The commands that write to a path that they were given write nothing in the state directory.

const says = (path: string, state: string): string =>
  `${path} is in the state directory ${state}, where only the CA keeps its files.\n` +
  '  → Name a path elsewhere, or run the command in another directory\n'

const key = 'state/scopes/local/intermediate-key.pem'
test.for([
  ['issue', 'localhost', '--key-file', key],
  ['issue', 'localhost', '--cert-file', 'state/certificates.jsonl'],
  ['issue', 'localhost', '--chain-file', key],
  ['issue', 'localhost', '--p12-file', key],
  ['issue', 'localhost', '--self-signed', '--cert-file', key],
  ['request', 'localhost', '--key-file', key],
  ['request', 'localhost', '--csr-file', 'state/certificates.jsonl'],
  ['crl', '--out', key],
  ['crl', '--root', '--der', '--out', 'state/certificates.jsonl'],
  ['ca', 'export', '--out', key],
  ['ca', 'export', '--format', 'jks', '--out', 'state/certificates.jsonl'],
])('rootling %j is refused, and nothing is changed', async (args) => {
  const { directory, rootling, createAuthority } = openHome()
  await createAuthority()
  const before = treeOf(directory)
  const forced = args[0] === 'crl' ? [] : ['--force']
  const state = join(realpathSync(directory), 'state')
  for (const more of [[], forced]) {
    const { exitCode, stdout, stderr } = await rootling([...args, ...more])
    const path = join(directory, args.at(-1) ?? '')
    expect([exitCode, stdout, stderr]).toEqual([2, '', `Error: ${says(path, state)}`])
  }
  expect(treeOf(directory)).toEqual(before)
})

test('a command that runs in the state directory is told where it is', async () => {
  const { directory, run, createAuthority } = openHome()
  await createAuthority()
  const state = join(realpathSync(directory), 'state')
  const before = treeOf(state)
  const { rootling } = builtPrograms()
  const home = `ROOTLING_HOME=${state}`
  for (const args of [['localhost'], ['request', 'localhost']]) {
    const { exitCode, stderr } = await run('env', [`--chdir=${state}`, home, rootling, ...args])
    expect([exitCode, stderr]).toEqual([2, expect.stringContaining(' is in the state directory ')])
  }
  expect(treeOf(state)).toEqual(before)
})

// A rename would replace the FIFO, and /dev/null for root, by a file.
test.for([
  ['issue', 'localhost', '--cert-file', 'fifo'],
  ['request', 'localhost', '--csr-file', 'fifo'],
  ['crl', '--out', 'fifo'],
  ['ca', 'export', '--out', 'fifo'],
])('rootling %j replaces nothing but files', async (args) => {
  const { directory, rootling, run, createAuthority } = openHome()
  await createAuthority()
  await run('mkfifo', ['fifo'])
  const forced = args[0] === 'crl' ? [] : ['--force']
  const { exitCode, stderr } = await rootling([...args, ...forced])
  expect([exitCode, stderr]).toEqual([
    1,
    expect.stringContaining(`${join(directory, 'fifo')} is not a regular file.`),
  ])
  expect(statSync(join(directory, 'fifo')).isFIFO()).toBe(true)
})

test.for([
  ['issue', 'localhost', '--chain-file', 'localhost-key.pem'],
  ['issue', 'localhost', '--chain-file', 'other/../localhost.pem'],
  ['issue', 'localhost', '--der', '--cert-file', 'localhost.der'],
  ['request', 'localhost', '--csr-file', 'a', '--key-file', 'a'],
])('rootling %j would write two files to one path, so it writes none', async (args) => {
  const { directory, rootling, createAuthority } = openHome()
  await createAuthority()
  const before = treeOf(directory)
  const { exitCode, stderr } = await rootling(args)
  expect([exitCode, stderr]).toEqual([2, expect.stringContaining(' is the path of two files.\n')])
  expect(treeOf(directory)).toEqual(before)
})
