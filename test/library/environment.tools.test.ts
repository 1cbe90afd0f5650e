import { join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import { ephemeralAuthority } from '../../src/ephemeral/index.ts'
import { certificateFor, environmentFor } from '../../src/index.ts'
import { serve } from '../ephemeral/visit.ts'
import { scrubbedEnvironment } from '../helpers/scrubbed.ts'
import { run } from '../helpers/subprocess.ts'
import { temporaryDirectory } from '../helpers/temporary.ts'
import { hasTool } from '../helpers/tools.ts'

let home: string
let base: Record<string, string>
beforeAll(async () => {
  const directory = await temporaryDirectory()
  home = join(directory, 'state')
  base = scrubbedEnvironment(directory)
  await certificateFor('localhost', { home })
})

/** Starts a server of the authority, and returns its URL. */
const startServer = async (): Promise<string> =>
  `https://localhost:${await serve(await certificateFor('localhost', { home }))}/`

const node = (url: string): readonly [string, ...string[]] => [
  process.execPath,
  '--input-type=module',
  '-e',
  `console.log(await fetch(${JSON.stringify(url)}).then((r) => r.text(), (e) => e.cause.code))`,
]
const curl = (url: string): readonly [string, ...string[]] => ['curl', '-sS', url]

const visit = async (
  [program, ...args]: readonly [string, ...string[]],
  env: Record<string, string>,
): Promise<string> => {
  const { stdout, stderr } = await run(program, args, env)
  return `${stdout}${stderr}`.trim()
}

test('a child Node trusts the authority by them, and not without', async () => {
  const url = await startServer()
  expect(await visit(node(url), base)).toMatch(/^UNABLE_TO_/)
  for (const replace of [true, false]) {
    const env = { ...base, ...(await environmentFor({ home, base, replace })) }
    expect(await visit(node(url), env)).toBe('hello')
  }
})

test.skipIf(!(await hasTool('curl')))(
  'curl trusts it by the variables that replace roots, which replace: false leaves out',
  async () => {
    const url = await startServer()
    expect(await visit(curl(url), base)).toMatch(/certificate/)
    const all = await environmentFor({ home, base })
    expect(await visit(curl(url), { ...base, ...all })).toBe('hello')
    const adding = await environmentFor({ home, base, replace: false })
    expect(await visit(curl(url), { ...base, ...adding })).toMatch(/certificate/)
    expect(Object.keys(all)).toEqual(expect.arrayContaining(Object.keys(adding)))
    expect(adding).not.toHaveProperty('SSL_CERT_FILE')
  },
)

test('what a variable named before stays trusted; a file that is gone is told', async () => {
  const other = await ephemeralAuthority()
  await using files = await (await other.certificate()).files()
  const named = { ...base, NODE_EXTRA_CA_CERTS: files.caPath }
  const env = { ...named, ...(await environmentFor({ home, base: named })) }
  const url = `https://localhost:${await serve(await other.certificate())}/`
  expect(await visit(node(url), base)).toMatch(/^UNABLE_TO_/)
  expect(await visit(node(url), env)).toBe('hello')
  expect(await visit(node(await startServer()), env)).toBe('hello')
  const warnings: string[] = []
  const warn = (sentence: string): void => void warnings.push(sentence)
  const gone = { ...base, NODE_EXTRA_CA_CERTS: '/nowhere/roots.pem' }
  expect(await environmentFor({ home, base: gone, warn })).toHaveProperty('NODE_EXTRA_CA_CERTS')
  expect(warnings).toEqual([expect.stringMatching(/^NODE_EXTRA_CA_CERTS is set, but .*nowhere/)])
})

test('is the same when it is put over itself', async () => {
  const once = { ...base, ...(await environmentFor({ home, base })) }
  const twice = { ...once, ...(await environmentFor({ home, base: once })) }
  expect(twice).toEqual(once)
  const less = { ...once, ...(await environmentFor({ home, base: once, replace: false })) }
  expect(await visit(node(await startServer()), less)).toBe('hello')
})

test('without an authority, says how one is made, and does not touch this process', async () => {
  const before = { ...process.env }
  const empty = join(await temporaryDirectory(), 'state')
  await expect(environmentFor({ home: empty })).rejects.toMatchObject({
    name: 'RootlingError',
    code: 'no-authority',
    hint: 'rootling install',
  })
  await environmentFor({ home })
  expect(process.env).toEqual(before)
  await expect(environmentFor({ home: 'state' })).rejects.toMatchObject({ code: 'usage' })
})
