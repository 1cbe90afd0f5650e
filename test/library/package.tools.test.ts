import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import { strangersProject } from '../ephemeral/stranger.ts'
import { ensureBuilt, project } from '../helpers/built.ts'
import { npmPackage, npmProgram } from '../helpers/npm-program.ts'
import { scrubbedEnvironment } from '../helpers/scrubbed.ts'
import { run } from '../helpers/subprocess.ts'

// The built entry `rootling` in a plain process, as a stranger's program loads it.

beforeAll(() => ensureBuilt())

/** The path by which a loader takes the entry that knows no ESM in `require`. */
const commonJs = join(project, 'dist/library/index.cjs')

/** Runs a script in a stranger's project, whose own state directory it uses; it must end well. */
async function runScript(
  script: string,
  { type = 'module', node = process.execPath, args = [] as string[] } = {},
): Promise<string> {
  const file = join(await strangersProject(), type === 'module' ? 'use.mjs' : 'use.cjs')
  await writeFile(file, script)
  const home = dirname(file)
  const env = scrubbedEnvironment(home, { ROOTLING_HOME: join(home, 'state') })
  const said = await run(node, [...args, file], env)
  expect(said).toMatchObject({ stderr: '', exitCode: 0 })
  return said.stdout.trim()
}

const loads = [
  ['import', 'module', "const loaded = await import('rootling')"],
  ['require', 'commonjs', "const loaded = require('rootling')"],
  ['require of the CommonJS', 'commonjs', `const loaded = require(${JSON.stringify(commonJs)})`],
] as const

test.each(loads)('%s loads it without an effect on the process', async (_name, type, load) => {
  const said = await runScript(
    `const before = [Object.keys(globalThis), process.eventNames(), Object.keys(process.env)]
    const handles = process.getActiveResourcesInfo().length
    ${load}
    const after = [Object.keys(globalThis), process.eventNames(), Object.keys(process.env)]
    console.log(JSON.stringify([
      JSON.stringify(before) === JSON.stringify(after),
      process.getActiveResourcesInfo().length - handles,
      typeof loaded.certificateFor,
    ]))`,
    { type },
  )
  expect(JSON.parse(said)).toEqual([true, 0, 'function'])
})

test.each(loads)('%s: a server with an open timer keeps no process', async (_name, type, load) => {
  const said = await runScript(
    `void (async () => {
      ${load}
      const server = await loaded.createServer({ onDemand: true, http2: true }, () => {})
      const context = await loaded.secureContextFor(['localhost', '127.0.0.1'])
      const client = await loaded.clientCertificateFor('alice')
      console.log(server.listening, typeof context.SNICallback, client.cert.length > 500)
    })()`,
    { type },
  )
  expect(said).toBe('false function true')
})

test.each(loads)('%s: trust and diagnosis work', async (_name, type, load) => {
  const said = await runScript(
    `void (async () => {
      ${load}
      const { cert } = await loaded.certificateFor('localhost')
      const [leaf] = (await loaded.inspect(cert)).certificates
      const { findings } = await loaded.diagnose({ stores: [] })
      const { isTrusted } = await loaded.trustStatus({ stores: ['nss'] })
      const trusted = await loaded.trust({ stores: [] })
      const variables = await loaded.environmentFor()
      const trust = await loaded.trustInProcess()
      trust.dispose()
      console.log(leaf.findings.length, Array.isArray(findings), isTrusted, trusted.created,
        'NODE_EXTRA_CA_CERTS' in variables, typeof trust.supported)
    })()`,
    { type },
  )
  expect(said).toBe('0 true false false true boolean')
})

test('tools that do not read exports, such as eslint-plugin-import, find it by main', async () => {
  const manifest = await readFile(join(project, 'package.json'), 'utf8')
  const { main } = JSON.parse(manifest) as { readonly main: string }
  expect(join(project, main)).toBe(commonJs)
  expect(existsSync(commonJs)).toBe(true)
})

test('both forms know the errors of the other, and ESM shares its class with rootling/test', async () => {
  const said = await runScript(`
    import { createRequire } from 'node:module'
    import { certificateFor, isRootlingError, RootlingError } from 'rootling'
    import { ephemeralAuthority, RootlingError as OfTests } from 'rootling/test'
    const other = createRequire(import.meta.url)(${JSON.stringify(commonJs)})
    const error = await other.certificateFor('www.bank.com').catch((error) => error)
    console.log(OfTests === RootlingError, error instanceof RootlingError,
      isRootlingError(error, 'not-permitted'), other.isRootlingError(error, 'usage'))`)
  expect(said).toBe('true false true false')
})

test('curl trusts the server by its root, over HTTP/2 and by name or address', async () => {
  const said = await runScript(`
    import { execFile } from 'node:child_process'
    import { promisify } from 'node:util'
    import { certificateFor, createServer } from 'rootling'
    const { caPath } = await certificateFor('localhost')
    const server = await createServer({ http2: true, onDemand: true }, (_, response) => response.end('hello'))
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address()
    const ask = (host, ...args) => promisify(execFile)('curl', ['-sS', '-w', ' %{http_version}',
      '--connect-to', '::127.0.0.1:' + port, ...args, 'https://' + host + ':' + port + '/'])
      .then(({ stdout }) => stdout, ({ code }) => code)
    const ca = ['--cacert', caPath]
    console.log(JSON.stringify([
      await ask('localhost', ...ca), await ask('127.0.0.1', '--http1.1', ...ca), await ask('shop.test', ...ca),
      await ask('localhost'), await ask('www.bank.com', ...ca),
    ]))
    await server[Symbol.asyncDispose]()`)
  expect(JSON.parse(said)).toEqual(['hello 2', 'hello 1.1', 'hello 2', 60, 60])
})

test('Bun trusts the server by a host name', async ({ skip }) => {
  const spec = `@oven/bun-${process.platform}-${process.arch}@1.3`
  const { program, missing } = await npmProgram(spec, 'bin/bun', 'rootling-bun')
  if (program === null) return skip(missing)
  const said = await runScript(
    `import { execFile } from 'node:child_process'
    import { promisify } from 'node:util'
    import { certificateFor, createServer } from 'rootling'
    const { caPath } = await certificateFor('localhost')
    const server = await createServer((_, response) => response.end('hello'))
    await new Promise((resolve) => server.listen(0, 'localhost', resolve))
    const { port } = server.address()
    const script = \`
      import { readFileSync } from 'node:fs'
      const ask = (url) => fetch(url, { tls: { ca: readFileSync(process.argv[2], 'utf8') } })
        .then((response) => response.text(), (error) => error.code)
      console.log(await ask('https://localhost:' + process.argv[3]))\`
    const { writeFileSync } = await import('node:fs')
    writeFileSync(import.meta.dirname + '/ask.mjs', script)
    const { stdout } = await promisify(execFile)(${JSON.stringify(program)}, [import.meta.dirname + '/ask.mjs', caPath, String(port)])
    console.log(stdout.trim())
    await server[Symbol.asyncDispose]()`,
  )
  expect(said).toBe('hello')
})

test.for([
  [
    'express@5.1.0',
    'createServer({ names: "localhost" }, app)',
    "app.get('/', (_, response) => response.send('hello'))",
    '',
  ],
  [
    'fastify@5.6.1',
    'createServer({ names: "localhost" })',
    "app.get('/', async () => 'hello')",
    'await app.ready()',
  ],
])('serves %s as docs/library.md says', async ([spec = '', create, route, ready], { skip }) => {
  const name = spec.replace(/@.*/, '')
  const { directory, missing } = await npmPackage(spec, `rootling-${name}`)
  if (directory === null) return skip(missing)
  const made =
    name === 'express'
      ? 'load()'
      : 'load({ serverFactory: (handler) => server.on("request", handler) })'
  const app = `const app = ${made}; ${route}; ${ready}`
  const server = `const server = await ${create}`
  const said = await runScript(`
    import { createRequire } from 'node:module'
    import { get } from 'node:https'
    import { certificateFor, createServer } from 'rootling'
    const load = createRequire(${JSON.stringify(join(directory, 'x.js'))})('${name}')
    ${name === 'express' ? `${app}; ${server}` : `${server}; ${app}`}
    await new Promise((resolve) => server.listen(0, 'localhost', resolve))
    const { ca } = await certificateFor('localhost')
    get({ host: 'localhost', port: server.address().port, ca, agent: false }, async (response) => {
      for await (const chunk of response) console.log(String(chunk))
      await server[Symbol.asyncDispose]()
    })`)
  expect(said).toBe('hello')
})
