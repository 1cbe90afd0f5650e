import { readdirSync, readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import { ensureBuilt, project } from '../helpers/built.ts'
import { npmProgram } from '../helpers/npm-program.ts'
import { postQuantumNode } from '../helpers/post-quantum-node.ts'
import { scrubbedEnvironment } from '../helpers/scrubbed.ts'
import { run } from '../helpers/subprocess.ts'
import { temporaryDirectory } from '../helpers/temporary.ts'
import { strangersProject } from './stranger.ts'

// The built entry `rootling/test` in a plain Node process, as a stranger's tests load it.

beforeAll(() => ensureBuilt())

/** The path by which Jest loads the entry, and any other loader that knows no ESM in `require`. */
const commonJs = join(project, 'dist/ephemeral/index.cjs')

/** Runs a script in a stranger's project. */
async function runScript(
  script: string,
  { type = 'module', node = process.execPath, env = {} } = {},
): Promise<string> {
  const file = join(await strangersProject(), type === 'module' ? 'use.mjs' : 'use.cjs')
  await writeFile(file, script)
  const said = await run(node, [file], scrubbedEnvironment(dirname(file), env))
  expect(said).toMatchObject({ stderr: '', exitCode: 0 })
  return said.stdout.trim()
}

const loads = [
  ['import', 'module', "const loaded = await import('rootling/test')"],
  ['require', 'commonjs', "const loaded = require('rootling/test')"],
  [
    'require of the file for Jest',
    'commonjs',
    `const loaded = require(${JSON.stringify(commonJs)})`,
  ],
] as const

test.each(loads)('%s loads it without an effect on the process', async (_name, type, load) => {
  const said = await runScript(
    `const before = [Object.keys(globalThis), process.eventNames(), Object.keys(process.env)]
    const handles = process.getActiveResourcesInfo().length
    ${load}
    const after = [Object.keys(globalThis), process.eventNames(), Object.keys(process.env)]
    console.log(JSON.stringify([
      Object.keys(loaded).toSorted(),
      JSON.stringify(before) === JSON.stringify(after),
      process.getActiveResourcesInfo().length - handles,
    ]))`,
    { type },
  )
  const names = ['RootlingError', 'certificateFaults', 'ephemeralAuthority']
  expect(JSON.parse(said)).toEqual([names, true, 0])
})

test('has the class of errors of the entry rootling', async () => {
  const said = await runScript(`
    import { RootlingError } from 'rootling'
    import { ephemeralAuthority } from 'rootling/test'
    const ca = await ephemeralAuthority()
    const error = await ca.certificate('a..b').catch((error) => error)
    console.log(error instanceof RootlingError, error.code)`)
  expect(said).toBe('true bad-name')
})

test.each(loads)('%s: everything works, and no file is left', async (_name, type, load) => {
  const directory = await temporaryDirectory()
  const said = await runScript(
    `void (async () => {
      const { existsSync, readdirSync } = require$('node:fs')
      ${load}
      const ca = await loaded.ephemeralAuthority()
      const files = await (await ca.certificate()).files()
      const { variables } = await ca.environment()
      const trust = await ca.trust()
      trust.dispose()
      await ca.crls()
      console.log(existsSync(files.keyPath), existsSync(variables.SSL_CERT_FILE), readdirSync(${JSON.stringify(directory)}).length)
    })()`.replace('require$(', type === 'module' ? 'process.getBuiltinModule(' : 'require('),
    { type, env: { TMPDIR: directory } },
  )
  // What nobody disposed of is deleted when the process ends.
  expect(said).toBe('true true 2')
  expect(readdirSync(directory)).toEqual([])
})

test('trust() uses the function that newer Nodes have for it', async ({ skip }) => {
  const { node, missing } = await postQuantumNode()
  if (node === null) return skip(missing)
  const said = await runScript(
    `import https from 'node:https'
    import tls from 'node:tls'
    import { ephemeralAuthority } from 'rootling/test'
    const [ca, other] = [await ephemeralAuthority(), await ephemeralAuthority()]
    const before = [tls.getCACertificates('default').length, tls.createSecureContext]
    // A new server each time: fetch may resume its session with one that it has met.
    const certificate = await ca.certificate()
    const get = async () => {
      const server = https.createServer(certificate, (_, response) => response.end('hello'))
      await new Promise((resolve) => server.listen(0, 'localhost', resolve))
      const url = 'https://localhost:' + server.address().port
      const said = await fetch(url, { headers: { connection: 'close' } }).then((r) => r.text(), (e) => e.cause.code)
      server.close()
      server.closeAllConnections()
      return said
    }
    const said = [await get()]
    const [one, two, three] = [await ca.trust(), await other.trust(), await ca.trust()]
    said.push(await get(), tls.getCACertificates('default').length - before[0])
    one.dispose()
    said.push(await get())
    three.dispose()
    said.push(await get(), tls.getCACertificates('default').length - before[0])
    two.dispose()
    said.push(tls.getCACertificates('default').length - before[0], tls.createSecureContext === before[1])
    console.log(JSON.stringify(said))`,
    { node },
  )
  const refused = expect.stringMatching(/^UNABLE_TO_/)
  expect(JSON.parse(said)).toEqual([refused, 'hello', 2, 'hello', refused, 1, 0, true])
})

test('works in Bun, whose fetch refuses the same faults; trust() says what to do there', async ({
  skip,
}) => {
  const spec = `@oven/bun-${process.platform}-${process.arch}@1.3`
  const { program, missing } = await npmProgram(spec, 'bin/bun', 'rootling-bun')
  if (program === null) return skip(missing)
  const said = await runScript(
    `import https from 'node:https'
    import { certificateFaults, ephemeralAuthority } from 'rootling/test'
    const ca = await ephemeralAuthority()
    const said = {}
    for (const fault of [undefined, ...certificateFaults]) {
      const certificate = await ca.certificate(undefined, { fault })
      const server = https.createServer(certificate, (_, response) => response.end('hello'))
      await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
      const url = 'https://127.0.0.1:' + server.address().port
      said[fault ?? 'good'] = await fetch(url, { tls: { ca: ca.root } }).then((r) => r.text(), (e) => e.code)
      server.close()
      server.closeAllConnections()
    }
    said.trust = await ca.trust().catch((error) => error.code)
    console.log(JSON.stringify(said))
    process.exit()`,
    { node: program },
  )
  expect(JSON.parse(said)).toEqual({
    good: 'hello',
    expired: 'CERT_HAS_EXPIRED',
    'not-yet-valid': 'CERT_NOT_YET_VALID',
    'wrong-name': 'ERR_TLS_CERT_ALTNAME_INVALID',
    'wrong-issuer': expect.stringMatching(/^UNABLE_TO_/),
    'self-signed': expect.stringMatching(/^UNABLE_TO_|SELF_SIGNED/),
    'no-intermediate': expect.stringMatching(/^UNABLE_TO_/),
    revoked: 'hello',
    trust: 'unsupported',
  })
})

test('its types are known to TypeScript 5.4, without skipLibCheck', async ({ skip }) => {
  const { program, missing } = await npmProgram(
    'typescript@5.4',
    'bin/tsc',
    'rootling-typescript54',
  )
  if (program === null) return skip(missing)
  const directory = await strangersProject(['@types/node', 'undici-types'])
  const text = `
    import { createServer, get } from 'node:https'
    import { ephemeralAuthority, certificateFaults, RootlingError } from 'rootling/test'
    import type { CertificateFault, EphemeralAuthority, EphemeralCertificate } from 'rootling/test'
    export async function use(): Promise<void> {
      const ca: EphemeralAuthority = await ephemeralAuthority({ permitted: ['shop.test'] })
      const certificate: EphemeralCertificate = await ca.certificate(['localhost'], { keyType: 'rsa2048' })
      createServer(certificate)
      createServer({ ...certificate, requestCert: true })
      get({ ...(await ca.clientCertificate('ada', { fault: 'revoked' })), crl: await ca.crls() })
      const faults: readonly CertificateFault[] = certificateFaults
      await using files = await certificate.files()
      using trust = await ca.trust()
      await using environment = await ca.environment()
      console.log(faults, files.certPath, trust, environment.variables, RootlingError)
      // @ts-expect-error -- TLS compares no name of a client
      await ca.clientCertificate('ada', { fault: 'wrong-name' })
    }`
  const options = {
    target: 'es2022',
    lib: ['es2022', 'dom'],
    module: 'node16',
    strict: true,
    noEmit: true,
    types: ['node'],
  }
  await writeFile(join(directory, 'use.mts'), text)
  // The same text as CommonJS, which may not load ESM in TypeScript before 5.8.
  await writeFile(join(directory, 'require.cts'), text)
  await writeFile(join(directory, 'tsconfig.json'), JSON.stringify({ compilerOptions: options }))
  const { stdout, exitCode } = await run(
    process.execPath,
    [program, '-p', directory],
    scrubbedEnvironment(directory),
  )
  expect(stdout).toBe('')
  expect(exitCode).toBe(0)
})

test('its types need no generic Buffer, which TypeScript before 5.7 does not know', () => {
  const seen = new Set<string>()
  const visit = (file: string): void => {
    if (seen.has(file)) return
    seen.add(file)
    const text = readFileSync(file, 'utf8')
    expect(text, file).not.toMatch(/\b(?:Buffer|Uint8Array)</)
    for (const [, path = ''] of text.matchAll(/from '(\.[^']+)\.ts'/g))
      visit(join(dirname(file), `${path}.d.ts`))
  }
  visit(join(project, 'dist/src/ephemeral/index.d.ts'))
  expect(seen.size).toBeGreaterThan(4)
})
