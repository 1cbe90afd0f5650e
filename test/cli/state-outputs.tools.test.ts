import { mkdirSync, readdirSync, readFileSync, realpathSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { builtPrograms } from '../helpers/built.ts'
import { openHome } from '../helpers/home.ts'
import { createSide } from './mkcert/both.ts'

// The commands that write to a path that they were given write nothing in the state directory.

const says = (path: string, state: string): string =>
  `${path} is in the state directory ${state}, where only the CA keeps its files.\n` +
  '  → Name a path elsewhere, or run the command in another directory\n'

/** Each file below a directory with its mode and contents. */
function filesOf(directory: string): Record<string, string> {
  const entries = readdirSync(directory, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile())
  return Object.fromEntries(
    files.map(({ parentPath, name }) => {
      const path = join(parentPath, name)
      return [path, `${statSync(path).mode} ${readFileSync(path, 'base64')}`]
    }),
  )
}

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
  const before = filesOf(directory)
  const forced = args[0] === 'crl' ? [] : ['--force']
  const state = join(realpathSync(directory), 'state')
  for (const more of [[], forced]) {
    const { exitCode, stdout, stderr } = await rootling([...args, ...more])
    const path = join(directory, args.at(-1) ?? '')
    expect([exitCode, stdout, stderr]).toEqual([2, '', `Error: ${says(path, state)}`])
  }
  expect(filesOf(directory)).toEqual(before)
})

test('a command that runs in the state directory is told where it is', async () => {
  const { directory, run, createAuthority } = openHome()
  await createAuthority()
  const state = join(realpathSync(directory), 'state')
  const before = filesOf(state)
  const { rootling } = builtPrograms()
  const home = `ROOTLING_HOME=${state}`
  for (const args of [['localhost'], ['request', 'localhost']]) {
    const { exitCode, stderr } = await run('env', [`--chdir=${state}`, home, rootling, ...args])
    expect([exitCode, stderr]).toEqual([2, expect.stringContaining(' is in the state directory ')])
  }
  expect(filesOf(state)).toEqual(before)
})

test('rootling-mkcert writes a certificate beside the CA in $CAROOT, and never over the CA', async () => {
  const side = createSide(builtPrograms().mkcert)
  try {
    const cwd = side.directory()
    const at = (name: string): string => join(side.caroot, name)
    const named = ['-cert-file', at('cert.pem'), '-key-file', at('dev.pem'), 'shop.test']
    expect((await side.run(named, cwd)).exitCode).toBe(0)
    const before = filesOf(side.caroot)
    const pkcs12 = ['-pkcs12', '-p12-file']
    for (const args of [
      ['-key-file', at('scopes/local/intermediate-key.pem')],
      ['-key-file', at('rootCA.pem')],
      ['-cert-file', at('certificates.jsonl')],
      [...pkcs12, at('scopes/local/intermediate-key.pem')],
    ]) {
      const { exitCode, stderr } = await side.run([...args, 'shop.test'], cwd)
      const said = says(args.at(-1) ?? '', realpathSync(side.caroot))
      expect([exitCode, stderr]).toEqual([1, expect.stringContaining(`ERROR: ${said}`)])
    }
    const inside = await side.run(['shop.test'], side.caroot)
    const said = says(at('shop.test.pem'), realpathSync(side.caroot))
    expect([inside.exitCode, inside.stderr]).toEqual([1, expect.stringContaining(said)])
    mkdirSync(at('certificates'))
    const below = await side.run(['-cert-file', at('certificates/a.pem'), 'shop.test'], cwd)
    expect(below.exitCode).toBe(1)
    expect(filesOf(side.caroot)).toEqual(before)
    expect(readdirSync(cwd)).toEqual([])
  } finally {
    side.remove()
  }
})
