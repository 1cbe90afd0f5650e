import { existsSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { command as built, ensureBuilt } from '../helpers/built.ts'
import { freePort } from '../helpers/free-port.ts'
import { otherRuntime, type OtherRuntime } from '../helpers/other-runtimes.ts'
import { scrubbedEnvironment } from '../helpers/scrubbed.ts'
import { killGroup, run, start, waitFor, type Finished } from '../helpers/subprocess.ts'
import { runTool } from '../helpers/tools.ts'
import { temporaryDirectory } from '../helpers/temporary.ts'
import { strangersProject } from '../ephemeral/stranger.ts'

// The package as it was built, in other versions of Node, in Deno and in Bun: docs/runtimes.md says
// what runs there.

beforeAll(() => ensureBuilt())

/** A stranger's project, with a home and a state directory of its own. */
interface World {
  readonly state: string
  readonly root: string
  readonly out: string
  rootling(args: readonly string[]): Promise<Finished>
  /** Runs a module to its end, and returns what it said as JSON. */
  script(body: string): Promise<unknown>
  /** Starts a module or a command, and returns its first complete JSON value when it has said it. */
  begin(what: readonly string[] | string): Promise<{
    readonly said: Readonly<Record<string, unknown>>
    /** Lets a module go on that waits to be told. */
    readonly tell: () => void
  }>
}

async function worldOf([program, ...args]: readonly [string, ...string[]], shared?: string) {
  const home = await strangersProject()
  const state = shared ?? join(home, 'state')
  const env = scrubbedEnvironment(home, { ROOTLING_HOME: state, DENO_NO_UPDATE_CHECK: '1' })
  let scripts = 0
  const writeScript = async (body: string): Promise<string> => {
    const path = join(home, `script-${++scripts}.mjs`)
    await writeFile(
      path,
      `import { once } from 'node:events'
      const say = (value) => console.log(JSON.stringify(value))
      const told = () => once(process.stdin, 'data')
      ${body}
      process.exit()`,
    )
    return path
  }
  const world: World = {
    state,
    root: join(state, 'scopes/local/root.pem'),
    out: join(home, 'out'),
    rootling: (own) => run(program, [...args, built, ...own], env),
    async script(body) {
      const said = await run(program, [...args, await writeScript(body)], env)
      expect(said).toMatchObject({ exitCode: 0, stderr: '' })
      return JSON.parse(said.stdout)
    },
    async begin(what) {
      const own = typeof what === 'string' ? [await writeScript(what)] : [built, ...what]
      const child = start(program, [...args, ...own], env)
      onTestFinished(() => killGroup(child))
      let errors = ''
      child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text))
      let text = ''
      for await (const line of createInterface({ input: child.stdout })) {
        text += line
        try {
          const said = JSON.parse(text) as Record<string, unknown>
          child.stdout.resume()
          return { said, tell: () => child.stdin.write('go on\n') }
        } catch {
          // More lines follow.
        }
      }
      throw new Error(`it ended: ${text}${errors}`)
    },
  }
  return world
}

const curl = (root: string, url: string, ...more: string[]): Promise<Finished> =>
  runTool('curl', ['-sS', '--cacert', root, ...more, url])

/** Returns the serial number of what a server shows, with SNI or without. */
async function shownSerial(port: number, ...sni: string[]): Promise<string> {
  const where = `127.0.0.1:${port}`
  const { stdout } = await runTool('openssl', ['s_client', '-connect', where, ...sni])
  return (await runTool('openssl', ['x509', '-noout', '-serial'], stdout)).stdout.trim()
}

describe.each(['Node 22', 'Node 24', 'Node 26', 'Deno', 'Bun'] as const)('%s', (name) => {
  let runtime: OtherRuntime
  let world: World
  beforeAll(async () => {
    runtime = await otherRuntime(name)
    if (runtime.command !== null) world = await worldOf(runtime.command)
  })

  test('imports and requires the library, whose certificate curl trusts', async ({ skip }) => {
    if (runtime.missing !== null) return skip(runtime.missing)
    const { said, tell } = await world.begin(`
      import { createServer } from 'node:https'
      import { createRequire } from 'node:module'
      import { certificateFor } from 'rootling'
      const required = createRequire(import.meta.url)('rootling')
      const certificate = await certificateFor(['localhost', '127.0.0.1'])
      const again = await required.certificateFor(['localhost', '127.0.0.1'])
      const refused = await certificateFor('www.example.com').catch((error) => error.code)
      const server = createServer({ ...certificate }, (_, response) => response.end('hello'))
      await once(server.listen(0, '127.0.0.1'), 'listening')
      const same = certificate.serialNumber === again.serialNumber
      say({ port: server.address().port, same, refused })
      await told()`)
    expect(said).toMatchObject({ same: true, refused: 'not-permitted' })
    for (const host of ['localhost', '127.0.0.1'])
      expect(await curl(world.root, `https://${host}:${String(said['port'])}/`)).toMatchObject({
        exitCode: 0,
        stdout: 'hello',
      })
    const without = await curl(
      '/etc/ssl/certs/ca-certificates.crt',
      `https://localhost:${String(said['port'])}/`,
    )
    expect(without.exitCode).toBe(60)
    tell()
  })

  test('runs createServer with HTTP/2, which renews while it runs', async ({ skip }) => {
    if (runtime.missing !== null) return skip(runtime.missing)
    const { said, tell } = await world.begin(`
      import { createServer } from 'rootling'
      const names = ['localhost', '127.0.0.1']
      const options = { http2: true, names, onDemand: true }
      const server = await createServer(options, (_, response) => response.end('hello'))
      await once(server.listen(0, '127.0.0.1'), 'listening')
      say({ port: server.address().port })
      await told()
      await server[Symbol.asyncDispose]()`)
    const port = Number(said['port'])
    const version = ['-w', ' %{http_version}']
    for (const host of ['localhost', '127.0.0.1'])
      expect((await curl(world.root, `https://${host}:${port}/`, ...version)).stdout).toBe(
        'hello 2',
      )
    const demanded = ['--resolve', `shop.test:${port}:127.0.0.1`]
    const shop = await curl(world.root, `https://shop.test:${port}/`, ...demanded)
    expect(shop.stdout).toBe('hello')
    const kinds = [['-servername', 'localhost'], ['-noservername']]
    const before = await Promise.all(kinds.map((sni) => shownSerial(port, ...sni)))
    expect(new Set(before).size).toBe(2)
    const revoked = await world.rootling(['revoke', '--all', 'localhost'])
    expect(revoked).toMatchObject({ exitCode: 0 })
    for (const [at, sni] of kinds.entries())
      await waitFor(`the new certificate of ${sni.join(' ')}`, async () => {
        const serial = await shownSerial(port, ...sni)
        return serial.startsWith('serial=') && serial !== before[at] ? serial : null
      })
    expect((await curl(world.root, `https://127.0.0.1:${port}/`)).stdout).toBe('hello')
    tell()
  })

  test('issues, lists, renews, shows and revokes by the commands', async ({ skip }) => {
    if (runtime.missing !== null) return skip(runtime.missing)
    const must = async (...args: string[]): Promise<string> => {
      const { exitCode, stdout, stderr } = await world.rootling(args)
      expect({ args, exitCode, stderr }).toMatchObject({ args, exitCode: 0 })
      expect(stderr).not.toMatch(/older version/)
      return stdout
    }
    await must('issue', 'app.localhost', '10.0.0.1', '--out-dir', world.out)
    const file = join(world.out, 'app.localhost+1.pem')
    const list = async (): Promise<{
      serialNumber: string
      certPath: string
      standing: string
    }> => {
      const { certificates } = JSON.parse(await must('list', '--json')) as {
        certificates: { serialNumber: string; certPath: string; standing: string }[]
      }
      const found = certificates.find(({ certPath }) => certPath === file)
      if (found === undefined) throw new Error('it is not on record')
      return found
    }
    const first = await list()
    expect(first.standing).toBe('current')
    await must('renew', 'app.localhost')
    const second = await list()
    expect(second.serialNumber).not.toBe(first.serialNumber)
    const chain = ['-CAfile', world.root, '-untrusted', file, file]
    expect(await runTool('openssl', ['verify', '-x509_strict', ...chain])).toMatchObject({
      exitCode: 0,
    })
    expect(await must('show', file)).toMatch(/usages +digitalSignature, serverAuth/)
    await must('revoke', 'app.localhost')
    expect((await list()).standing).toBe('revoked')
    expect(await must('crl')).toMatch(/^-----BEGIN X509 CRL-----\n/)
    await must('issue', '--client', 'ada', '--out-dir', world.out)
    // No store trusts the authority; nothing else is wrong.
    const doctor = await world.rootling(['doctor', '--json'])
    const { findings } = JSON.parse(doctor.stdout) as { findings: { code: string }[] }
    expect(findings.map(({ code }) => code)).toContain('not-installed')
    expect(findings.map(({ code }) => code)).not.toContain('internal')
    const bad = await world.rootling(['issue', '--bad'])
    expect(bad).toMatchObject({ exitCode: 2, stdout: '' })
    expect(bad.stderr).toMatch(/^Error: There is no option --bad\.\n/)
  })

  test('serves by `rootling serve`', async ({ skip }) => {
    if (runtime.missing !== null) return skip(runtime.missing)
    await mkdir(world.out, { recursive: true })
    await writeFile(join(world.out, 'page.txt'), 'a page')
    const { said } = await world.begin(['serve', '--dir', world.out, '--port', '0', '--json'])
    expect(said).toMatchObject({ warnings: [] })
    const url = `https://127.0.0.1:${String(said['port'])}/page.txt`
    const answer = await curl(world.root, url, '-w', ' %{http_version}')
    expect(answer).toMatchObject({ exitCode: 0, stdout: 'a page 2' })
  })

  test('has a daemon, of which there is only one', async ({ skip }) => {
    if (runtime.missing !== null) return skip(runtime.missing)
    const ports = [`--acme-port=${await freePort()}`, `--revocation-port=${await freePort()}`]
    onTestFinished(async () => void (await world.rootling(['daemon', 'stop'])))
    const started = await world.rootling(['daemon', 'start', ...ports])
    expect(started).toMatchObject({ exitCode: 0 })
    const { stdout } = await world.rootling(['daemon', 'status'])
    expect(stdout).toMatch(/^Running since .*\nrevocation .*\nACME /)
    // The Node that runs the tests locks by the add-on.
    const other = await worldOf([process.execPath], world.state)
    expect(await other.rootling(['daemon', 'run'])).toMatchObject({
      exitCode: 1,
      stderr: expect.stringMatching(/^Error: The daemon runs already \(pid \d+\)\.\n/),
    })
    expect((await other.rootling(['daemon', 'stop'])).exitCode).toBe(0)
    const after = await world.rootling(['daemon', 'status'])
    expect(after.stdout + after.stderr).toMatch(/^The daemon is not running/)
  })
})

test('in Bun a server of node:https says that it cannot renew its certificate', async ({
  skip,
}) => {
  const { command, missing } = await otherRuntime('Bun')
  if (command === null) return skip(missing ?? '')
  const world = await worldOf(command)
  const said = await world.script(`
    import { execFileSync } from 'node:child_process'
    import { createServer } from 'rootling'
    const failed = Promise.withResolvers()
    const onRenewalFailed = (error) => failed.resolve([error.code, error.message])
    const server = await createServer({ names: 'localhost', onRenewalFailed })
    await once(server.listen(0, '127.0.0.1'), 'listening')
    const own = [${JSON.stringify(built)}, 'revoke', '--all', 'localhost']
    execFileSync(process.execPath, own, { stdio: 'ignore' })
    const why = await failed.promise
    await server[Symbol.asyncDispose]()
    say(why)`)
  const sentence = "Bun's server of node:https cannot change its certificate."
  expect(said).toEqual(['unsupported', sentence])
})

test('Node, Deno and Bun issue into one state directory at once, and nothing is lost', async ({
  skip,
}) => {
  const found = [await otherRuntime('Deno'), await otherRuntime('Bun')]
  const missing = found.find((runtime) => runtime.missing !== null)?.missing
  if (missing !== undefined && missing !== null) return skip(missing)
  const commands = found.flatMap(({ command }) => (command === null ? [] : [command]))
  const first = await worldOf([process.execPath])
  const others = await Promise.all(commands.map((command) => worldOf(command, first.state)))
  // None of them finds an authority.
  const said = await Promise.all(
    [first, ...others].map((world, at) =>
      world.script(`
        import { certificateFor } from 'rootling'
        const made = []
        for (let i = 0; i < 50; i++) {
          const { serialNumber, certPath } = await certificateFor('a' + i + '.r${at}.localhost')
          made.push([serialNumber, certPath])
        }
        say(made)`),
    ),
  )
  const made = said.flat() as [serialNumber: string, certPath: string][]
  expect(made).toHaveLength(150)
  expect(new Set(made.map(([serialNumber]) => serialNumber)).size).toBe(150)
  expect(made.filter(([, certPath]) => !existsSync(certPath))).toEqual([])
  const { stdout } = await first.rootling(['list', '--json'])
  const { certificates } = JSON.parse(stdout) as { certificates: { serialNumber: string }[] }
  const listed = certificates.map(({ serialNumber }) => serialNumber)
  expect(listed.toSorted()).toEqual(made.map(([serialNumber]) => serialNumber).toSorted())
  const files = made.flatMap(([, certPath]) => certPath)
  // One authority signed all of them.
  const verified = await runTool('openssl', [
    ...['verify', '-CAfile', first.root, '-untrusted', files[0] ?? '', ...files],
  ])
  expect(verified).toMatchObject({ exitCode: 0 })
})

test('Deno refuses to work for a user who called sudo, before it writes anything', async ({
  skip,
}) => {
  const { command, missing } = await otherRuntime('Deno')
  if (command === null) return skip(missing ?? '')
  if (process.getuid?.() !== 0) return skip('this is not root')
  const home = await temporaryDirectory()
  const [program, ...args] = command
  const sudo = { SUDO_UID: '65534', SUDO_GID: '65534', SUDO_USER: 'nobody', SUDO_COMMAND: built }
  const env = scrubbedEnvironment(home, { ...sudo, ROOTLING_HOME: join(home, 'state') })
  expect(await run(program, [...args, built, 'issue', 'localhost'], env)).toEqual({
    exitCode: 1,
    stdout: '',
    stderr:
      'Error: Deno cannot give up the groups of root.\n  → Run it without sudo, or with Node\n',
  })
  expect(existsSync(join(home, 'state'))).toBe(false)
})

test('Deno runs rootling/test, and its fetch refuses every fault but revocation', async ({
  skip,
}) => {
  const { command, missing } = await otherRuntime('Deno')
  if (command === null) return skip(missing ?? '')
  const world = await worldOf(command)
  const said = await world.script(`
    import https from 'node:https'
    import { certificateFaults, ephemeralAuthority } from 'rootling/test'
    const ca = await ephemeralAuthority()
    const shared = Deno.createHttpClient({ caCerts: [ca.root] })
    const said = { resumed: [] }
    for (const fault of [undefined, ...certificateFaults]) {
      const certificate = await ca.certificate(undefined, { fault })
      const server = https.createServer(certificate, (_, response) => response.end('hello'))
      await once(server.listen(0, '127.0.0.1'), 'listening')
      const url = 'https://127.0.0.1:' + server.address().port
      const visit = (client) =>
        fetch(url, { client }).then((response) => response.text(), (error) => String(error.cause))
      said[fault ?? 'good'] = await visit(Deno.createHttpClient({ caCerts: [ca.root] }))
      said.resumed.push(await visit(shared))
      server.close()
      server.closeAllConnections()
    }
    said.trust = await ca.trust().catch((error) => error.code)
    const environment = await ca.environment()
    const files = await (await ca.certificate()).files()
    said.files = [Deno.readTextFileSync(files.caPath) === ca.root, 'DENO_CERT' in environment.variables]
    await environment.dispose()
    await files.dispose()
    say(said)`)
  const refused = (why: string): unknown =>
    expect.stringContaining(`invalid peer certificate: ${why}`)
  expect(said).toEqual({
    good: 'hello',
    expired: refused('certificate expired'),
    'not-yet-valid': refused('certificate not valid yet'),
    'wrong-name': refused('certificate not valid for name'),
    'wrong-issuer': refused('UnknownIssuer'),
    'self-signed': refused('UnknownIssuer'),
    'no-intermediate': refused('UnknownIssuer'),
    revoked: 'hello',
    trust: 'unsupported',
    files: [true, false],
    // With one client, Deno resumes the session of the first server with the others, and asks none
    // of them for its certificate: docs/testing.md warns of it.
    resumed: Array(8).fill('hello'),
  })
})
