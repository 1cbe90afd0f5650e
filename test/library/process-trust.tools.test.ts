import { dirname, join } from 'node:path'
import { writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { strangersProject } from '../ephemeral/stranger.ts'
import { npmProgram } from '../helpers/npm-program.ts'
import { postQuantumNode } from '../helpers/post-quantum-node.ts'
import { scrubbedEnvironment } from '../helpers/scrubbed.ts'
import { run } from '../helpers/subprocess.ts'

/** Runs a script that begins with a server with a certificate and functions to visit it. */
async function runScript(
  script: string,
  node: string,
  certificate = "await certificateFor('localhost')",
): Promise<unknown> {
  const file = join(await strangersProject(), 'use.mjs')
  await writeFile(
    file,
    `import https from 'node:https'
    import tls from 'node:tls'
    import { certificateFor, trustInProcess } from 'rootling'
    import { ephemeralAuthority } from 'rootling/test'
    const certificate = ${certificate}
    const server = https.createServer(certificate, (_, response) => response.end('hello'))
    await new Promise((resolve) => server.listen(0, 'localhost', resolve))
    const url = 'https://localhost:' + server.address().port
    const byFetch = () =>
      fetch(url, { headers: { connection: 'close' } }).then((r) => r.text(), (e) => e.cause?.code ?? e.code)
    const byHttps = () => new Promise((resolve) => https.get(url, { agent: false }, (response) => {
      response.resume()
      resolve(response.statusCode)
    }).on('error', (error) => resolve(error.code)))
    const visit = async () => [await byFetch(), await byHttps()]
    const said = []
    ${script}
    console.log(JSON.stringify(said))
    process.exit()`,
  )
  const { stdout, stderr } = await run(node, [file], scrubbedEnvironment(dirname(file)))
  expect(stderr).toBe('')
  return JSON.parse(stdout)
}

const lifecycle = `
  const roots = tls.getCACertificates?.('default').length
  const original = tls.createSecureContext
  said.push(await visit())
  const trust = await trustInProcess()
  said.push(trust.supported, await visit())
  const other = await trustInProcess(certificate.ca)
  trust.dispose()
  trust.dispose()
  said.push(await visit())
  other[Symbol.dispose ?? 'dispose']?.()
  other.dispose()
  said.push(await visit())
  said.push(tls.getCACertificates?.('default').length === roots, tls.createSecureContext === original)`

const refused = [expect.stringMatching(/^UNABLE_TO_/), expect.stringMatching(/^UNABLE_TO_/)]

test('a Node that has the function trusts the authority until the last trust ends', async ({
  skip,
}) => {
  const { node, missing } = await postQuantumNode()
  if (node === null) return skip(missing)
  const trusting = ['hello', 200]
  expect(await runScript(lifecycle, node)).toEqual([
    refused,
    true,
    trusting,
    trusting,
    refused,
    true,
    true,
  ])
})

test('roots that the process trusted before stay trusted, whichever were added again', async ({
  skip,
}) => {
  const { node, missing } = await postQuantumNode()
  if (node === null) return skip(missing)
  const script = `
    const strange = await ephemeralAuthority()
    tls.setDefaultCACertificates([...tls.getCACertificates('default'), certificate.ca])
    const roots = tls.getCACertificates('default').length
    const both = await trustInProcess(certificate.ca + strange.root)
    said.push(await visit(), tls.getCACertificates('default').length - roots)
    both.dispose()
    said.push(await visit(), tls.getCACertificates('default').length - roots)`
  expect(await runScript(script, node)).toEqual([['hello', 200], 1, ['hello', 200], 0])
})

test('Node 20 has none: supported is false, and nothing changes', async ({ skip }) => {
  const name = `node-${process.platform}-${process.arch}`
  const { program, missing } = process.version.startsWith('v20.')
    ? { program: process.execPath, missing: null }
    : await npmProgram(`${name}@20`, 'bin/node', 'rootling-node20')
  if (program === null) return skip(missing)
  expect(await runScript(lifecycle, program)).toEqual([
    refused,
    false,
    refused,
    refused,
    refused,
    true,
    true,
  ])
})

test('Bun cannot change what its fetch trusts: supported is false', async ({ skip }) => {
  const spec = `@oven/bun-${process.platform}-${process.arch}@1.3`
  const { program, missing } = await npmProgram(spec, 'bin/bun', 'rootling-bun')
  if (program === null) return skip(missing)
  const script = `
    const trust = await trustInProcess(certificate.ca)
    said.push(trust.supported, await byFetch())
    trust.dispose()`
  const certificate = 'await (await ephemeralAuthority()).certificate()'
  expect(await runScript(script, program, certificate)).toEqual([
    false,
    expect.stringMatching(/^UNABLE_TO_/),
  ])
})

test('nor can Deno', async ({ skip }) => {
  const { program, missing } = await npmProgram('@deno/linux-x64-glibc@2', 'deno', 'rootling-deno')
  if (program === null) return skip(missing)
  const file = join(await strangersProject(), 'use.mjs')
  await writeFile(
    file,
    `import { trustInProcess } from 'rootling'
    import { ephemeralAuthority } from 'rootling/test'
    const trust = await trustInProcess((await ephemeralAuthority()).root)
    console.log(trust.supported)
    trust.dispose()`,
  )
  const env = scrubbedEnvironment(dirname(file), {
    DENO_NO_UPDATE_CHECK: '1',
    DENO_DIR: join(dirname(file), 'deno'),
  })
  const args = ['run', '--allow-all', '--node-modules-dir=manual', file]
  expect(await run(program, args, env)).toMatchObject({ stdout: 'false\n', exitCode: 0 })
})
