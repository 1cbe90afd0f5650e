import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { ensureBuilt, project } from '../helpers/built.ts'
import { scrubbedEnvironment } from '../helpers/scrubbed.ts'
import { run } from '../helpers/subprocess.ts'

// The built library in a plain Node process, as a stranger's program imports it.

interface Program {
  /** Runs a module with `certificateFor` and `RootlingError` at hand; gives what it `say`s. */
  (body: string): Promise<unknown>
}

function openProgram(): Program {
  ensureBuilt()
  const home = mkdtempSync(join(tmpdir(), 'rootling-library-'))
  onTestFinished(() => rmSync(home, { recursive: true, force: true }))
  const library = JSON.stringify(join(project, 'dist/library/index.js'))
  return async (body) => {
    const script = `
      import { certificateFor, RootlingError } from ${library}
      const say = (value) => console.log(JSON.stringify(value))
      ${body}`
    const args = ['--input-type=module', '-e', script]
    // Its standard input is at its end: whoever asked a question would get no answer.
    const { exitCode, stdout, stderr } = await run(
      process.execPath,
      args,
      scrubbedEnvironment(home, { ROOTLING_HOME: join(home, 'state') }),
    )
    if (exitCode !== 0) throw new Error(`the program ended with ${exitCode}: ${stderr}`)
    return JSON.parse(stdout)
  }
}

test('spreads into a server that a client with its root trusts, and no other client', async () => {
  const program = openProgram()
  const said = await program(`
    import { createServer, get } from 'node:https'
    import { once } from 'node:events'
    const certificate = await certificateFor(['localhost', '127.0.0.1', '::1'])
    const server = createServer({ ...certificate }, (_, response) => response.end('hello'))
    await once(server.listen(0, '127.0.0.1'), 'listening')
    const { port } = server.address()
    const visit = (options) => new Promise((resolve) => {
      get({ host: '127.0.0.1', port, agent: false, ...options }, async (response) => {
        let body = ''
        for await (const chunk of response) body += chunk
        resolve(body)
      }).on('error', ({ code }) => resolve(code))
    })
    say({
      ours: await visit({ ca: certificate.ca }),
      named: await visit({ ca: certificate.ca, servername: 'localhost' }),
      wrongName: await visit({ ca: certificate.ca, servername: 'other.test' }),
      untrusting: await visit({}),
    })
    server.close()`)
  expect(said).toEqual({
    ours: 'hello',
    named: 'hello',
    wrongName: 'ERR_TLS_CERT_ALTNAME_INVALID',
    untrusting: expect.stringMatching(/^(?:UNABLE_TO_|SELF_SIGNED_)/),
  })
})

test('gives the files that it keeps, the key for their owner alone', async () => {
  const program = openProgram()
  const said = await program(`
    import { readFileSync, statSync } from 'node:fs'
    const c = await certificateFor(['localhost'])
    say({
      same: ['cert', 'key', 'ca'].map((name) => readFileSync(c[name + 'Path'], 'utf8') === c[name]),
      mode: (statSync(c.keyPath).mode & 0o777).toString(8),
      dates: c.notBefore < new Date() && c.notAfter > new Date(),
      hex: [c.serialNumber, c.fingerprint],
    })`)
  expect(said).toEqual({
    same: [true, true, true],
    mode: '600',
    dates: true,
    hex: [expect.stringMatching(/^[0-9a-f]+$/), expect.stringMatching(/^[0-9a-f]{64}$/)],
  })
})

test('gives the same certificate while it is good, and a new one after two thirds', async () => {
  const program = openProgram()
  const said = (await program(`
    const day = 86_400_000
    const at = async (days, names = ['localhost', '::1']) => {
      const now = () => new Date(Date.now() + days * day)
      return (await certificateFor(names, { now, days: 90 })).serialNumber
    }
    say([
      await at(0), await at(1), await at(59), await at(0, ['::1', 'localhost']),
      await at(61), await at(61), await at(0, ['other.localhost']),
    ])`)) as string[]
  const [first, , , , second, , other] = said
  expect(said).toEqual([first, first, first, first, second, second, other])
  expect(new Set([first, second, other]).size).toBe(3)
})

test('gives one pair to two processes that ask at once', async () => {
  const program = openProgram()
  const body = `
    import { createPrivateKey, X509Certificate } from 'node:crypto'
    const { cert, key, ca } = await certificateFor(['localhost'])
    const fits = new X509Certificate(cert).checkPrivateKey(createPrivateKey(key))
    say({ cert, key, ca, fits })`
  const [one, ...others] = await Promise.all([program(body), program(body), program(body)])
  expect(one).toMatchObject({ fits: true })
  expect(others).toEqual([one, one])
})

test('throws a RootlingError with a code for what it cannot issue', async () => {
  const program = openProgram()
  const said = await program(`
    const codes = []
    for (const names of [['bank.example.com'], ['a..b'], []])
      await certificateFor(names).then(
        () => codes.push('issued'),
        (error) => codes.push([error instanceof RootlingError, error.code, typeof error.hint]),
      )
    say(codes)`)
  expect(said).toEqual([
    [true, 'not-permitted', 'string'],
    [true, 'bad-name', 'string'],
    [true, 'usage', 'string'],
  ])
})

test('takes one name as a text, as if it were a list of one', async () => {
  const program = openProgram()
  const said = await program(`
    const one = await certificateFor('localhost')
    say([one.serialNumber, (await certificateFor(['localhost'])).serialNumber])`)
  const [one, list] = said as string[]
  expect(one).toMatch(/^[0-9a-f]{32}$/)
  expect(list).toBe(one)
})

test('the types that the package exports are known to TypeScript 5.4', () => {
  ensureBuilt()
  // Buffer and Uint8Array are generic only from TypeScript 5.7 on, so 5.4 refuses such a type in any
  // declaration that index.d.ts reaches, unless skipLibCheck is on.
  const seen = new Set<string>()
  const visit = (file: string): void => {
    if (seen.has(file)) return
    seen.add(file)
    const text = readFileSync(file, 'utf8')
    expect(text, file).not.toMatch(/\b(?:Buffer|Uint8Array)</)
    for (const [, path = ''] of text.matchAll(/from '(\.[^']+)\.ts'/g))
      visit(join(dirname(file), `${path}.d.ts`))
  }
  visit(join(project, 'dist/src/index.d.ts'))
  expect(seen.size).toBeGreaterThan(4)
})
