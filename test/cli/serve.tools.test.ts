import { once } from 'node:events'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import { request } from 'node:https'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { command } from '../helpers/built.ts'
import { startHttpsServer } from '../helpers/https-server.ts'
import { createOpensslCa } from '../helpers/openssl-ca.ts'
import { waitFor } from '../helpers/subprocess.ts'
import { openHome } from '../helpers/home.ts'

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  test(`serve ends with 0 on ${signal}, and answers until then`, async () => {
    const { serve, rootling, createAuthority } = openHome()
    await createAuthority()
    const { program, url, log } = await serve()
    const got = await rootling(['get', url])
    expect(got).toMatchObject({ exitCode: 0 })
    expect(got.stderr).toBe('HTTP/1.1 200 OK\n')
    expect(got.stdout).toMatch(/^This connection is secured\.\n/)
    await waitFor('the line of the request log', () => (log().includes('GET /') ? true : null))
    const ended = once(program, 'exit')
    program.kill(signal)
    expect(await ended).toEqual([0, null])
    const refused = await rootling(['get', url])
    expect(refused.exitCode).toBe(1)
    expect(refused.stderr).toMatch(/^Error: [^\n]+\n {2}→ /)
  })
}

test('serve makes the authority where there is none, and says that no store trusts it', async () => {
  const { serve, rootling } = openHome()
  const outside = await rootling(['serve', 'shop.example.com', '--port', '0'])
  expect(outside).toMatchObject({ exitCode: 1 })
  expect(outside.stderr).toContain('shop.example.com')
  expect((await rootling(['ca', 'list'])).stdout).toBe('')
  const { url, log } = await serve()
  expect(log()).toMatch(/^Created the certificate authority in \S+\.$/m)
  expect(log()).toMatch(/^Warning: No trust store trusts its root yet, .* rootling install$/m)
  expect(await rootling(['get', url])).toMatchObject({ exitCode: 0 })
  const again = await serve()
  expect(again.log()).not.toContain('Created')
})

test('serve lets a request in flight finish before it ends', async () => {
  const { serve, createAuthority, directory } = openHome()
  const ca = readFileSync(await createAuthority(), 'utf8')
  const site = join(directory, 'site')
  mkdirSync(site)
  // More than the sockets' buffers hold, so that the server is still sending when it is stopped.
  writeFileSync(join(site, 'large.txt'), 'x'.repeat(32 * 1024 * 1024))
  const { program, url } = await serve(['--dir', site])
  const sent = request(new URL('large.txt', url), { ca }).end()
  const [response] = (await once(sent, 'response')) as [IncomingMessage]
  const ended = once(program, 'exit')
  program.kill('SIGINT')
  let length = 0
  for await (const chunk of response) length += (chunk as Buffer).length
  expect(length).toBe(32 * 1024 * 1024)
  sent.destroy()
  expect(await ended).toEqual([0, null])
})

test('serve takes the files below --dir, and nothing above', async () => {
  const { serve, rootling, createAuthority, directory } = openHome()
  await createAuthority()
  mkdirSync(join(directory, 'site'))
  writeFileSync(join(directory, 'site/page.txt'), 'below')
  writeFileSync(join(directory, 'secret.txt'), 'above')
  const { url } = await serve(['--dir', 'site'])
  expect((await rootling(['get', `${url}page.txt`])).stdout).toContain('below')
  const raw = await rootling(['get', `${url}%2e%2e/secret.txt`])
  expect(raw.stdout).not.toContain('above')
  expect(raw.stderr).toMatch(/^HTTP\/1\.1 4\d\d /)
})

test('get prints the body alone, so that a pipe and a file have it exactly', async () => {
  const { serve, rootling, json, run, createAuthority, directory } = openHome()
  await createAuthority()
  mkdirSync(join(directory, 'site'))
  const bytes = Buffer.from('\ufeffa\tb\r\n\u0000\u001b[2J\n\n', 'utf8')
  writeFileSync(join(directory, 'site/page.txt'), Buffer.concat([bytes, Buffer.from([0xff])]))
  writeFileSync(join(directory, 'site/data.json'), '{"a":1}')
  const { url } = await serve(['--dir', 'site'])
  const { host } = new URL(url)

  // Without https://, as curl takes it.
  const got = await rootling(['get', `${host}/data.json`])
  expect(got).toEqual({ exitCode: 0, stdout: '{"a":1}', stderr: 'HTTP/1.1 200 OK\n' })
  const quiet = await rootling(['get', '--quiet', `${host}/data.json`])
  expect(quiet).toEqual({ exitCode: 0, stdout: '{"a":1}', stderr: '' })
  const whole = await rootling(['get', '-i', `${host}/data.json`])
  expect(whole.stdout).toMatch(
    /^HTTP\/1\.1 200 OK\n(?:[\w-]+: [^\n]*\n)*content-type: application\/json[^\n]*\n(?:[\w-]+: [^\n]*\n)*\n\{"a":1\}$/,
  )
  expect(whole.stderr).toBe('')
  expect((await json(['get', `${host}/data.json`])).value).toMatchObject({ body: '{"a":1}' })

  const shell = `'${process.execPath}' '${command}' get ${host}/page.txt > out 2> err`
  await run('sh', ['-c', `ROOTLING_HOME='${directory}/state' ${shell}`])
  expect(readFileSync(join(directory, 'out'))).toEqual(
    readFileSync(join(directory, 'site/page.txt')),
  )
  const refused = await rootling(['get', 'me@a.test'])
  expect(refused).toMatchObject({ exitCode: 2, stdout: '' })
  expect(refused.stderr).toMatch(/^Error: “me@a\.test” is not a URL\.\n {2}→ /)
})

test('serve names the port that is in use', async () => {
  const { rootling, createAuthority } = openHome()
  await createAuthority()
  const taken = await startHttpsServer({}, '')
  onTestFinished(() => taken.close())
  const { exitCode, stdout, stderr } = await rootling(['serve', '--port', String(taken.port)])
  expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: '' })
  expect(stderr).toMatch(new RegExp(`^Error: [^\\n]*${taken.port}[^\\n]*\\n {2}→ `))
})

test('serve refuses a key that is not the certificate’s, and one that expired', async () => {
  const { rootling, directory, issueExpired } = openHome()
  const ca = await createOpensslCa('A root')
  onTestFinished(() => ca.remove())
  const [one, other] = [await ca.issue(['localhost']), await ca.issue(['localhost'])]
  writeFileSync(join(directory, 'one.pem'), one.cert)
  writeFileSync(join(directory, 'other-key.pem'), other.key)
  const pair = ['--cert=one.pem', '--key=other-key.pem', '--port=0']
  const mismatch = await rootling(['serve', ...pair])
  expect(mismatch).toMatchObject({ exitCode: 1, stdout: '' })
  expect(mismatch.stderr).toMatch(/^Error: [^\n]*other-key\.pem[^\n]*\n {2}→ /)

  const old = await issueExpired()
  const late = await rootling(['serve', `--cert=${old.certPath}`, `--key=${old.keyPath}`])
  expect(late).toMatchObject({ exitCode: 1, stdout: '' })
  expect(late.stderr).toMatch(/^Error: [^\n]*cert\.pem[^\n]*expired[^\n]*\n {2}→ /)
})

test('get trusts our roots alone, and says which check failed', async () => {
  const { rootling, serve, createAuthority, directory } = openHome()
  const root = await createAuthority()
  const ca = await createOpensslCa('A stranger')
  onTestFinished(() => ca.remove())
  const strange = await startHttpsServer(await ca.issue(['localhost']), 'strange')
  onTestFinished(() => strange.close())
  const strangeUrl = `https://localhost:${strange.port}/`
  const { url } = await serve(['app.localhost'])
  const { port } = new URL(url)

  const verbose = await rootling(['get', '-v', `https://app.localhost:${port}/`])
  expect(verbose.exitCode).toBe(0)
  expect(verbose.stderr).toMatch(/^secured by {4}TLSv1\.3, /m)

  const unknown = await rootling(['get', strangeUrl])
  expect(unknown).toMatchObject({ exitCode: 4, stdout: '' })
  expect(unknown.stderr).toMatch(/^Error: [^\n]+\n {2}→ /)
  const wrongHost = await rootling(['get', `https://127.0.0.1:${port}/`])
  expect(wrongHost).toMatchObject({ exitCode: 4, stdout: '' })
  expect(wrongHost.stderr).toContain('127.0.0.1')
  expect(wrongHost.stderr).not.toBe(unknown.stderr)

  writeFileSync(join(directory, 'strange.pem'), ca.root)
  const given = await rootling(['get', strangeUrl, '--cacert', 'strange.pem'])
  expect(given).toMatchObject({ exitCode: 0, stdout: expect.stringContaining('strange') })
  const only = ['get', `https://app.localhost:${port}/`, '--cacert', 'strange.pem']
  expect((await rootling(only)).exitCode).toBe(4)
  const ours = ['get', `https://app.localhost:${port}/`, '--cacert', root]
  expect((await rootling(ours)).exitCode).toBe(0)
  const compared = await rootling(['get', '--compare', strangeUrl])
  expect(compared.exitCode).toBe(4)
  expect(compared.stdout.match(/refused: /g)).toHaveLength(2)
})

test('serve --on-demand answers curl under any local name, and under no other', async () => {
  const { serve, rootling, run, createAuthority } = openHome()
  const ca = await createAuthority()
  const { url, log } = await serve(['--on-demand'])
  const { port } = new URL(url)
  const curl = (host: string) =>
    run('curl', [
      ...['-sS', '--cacert', ca, '--connect-to', `::127.0.0.1:${port}`],
      `https://${host}/`,
    ])
  expect(await curl('shop.app.localhost')).toMatchObject({ exitCode: 0 })
  expect(await curl('bank.com')).toMatchObject({ exitCode: 60 })
  await waitFor('the refusal in the log', () =>
    /^\S+Z no certificate for bank\.com: bank\.com is outside/m.test(log()) ? true : null,
  )
  const { stdout } = await rootling(['list', '--json'])
  expect(stdout).toContain('shop.app.localhost')
  expect(stdout).not.toContain('bank.com')
})

test('an IPv4 client of a server on :: is named by its IPv4 address', async () => {
  const { serve, run, createAuthority } = openHome()
  await createAuthority()
  const { url, log } = await serve(['--mtls', '--host', '::'])
  const { port } = new URL(url)
  await run('curl', ['-sSk', `https://127.0.0.1:${port}/`])
  await waitFor('the refusal', () => (log().includes(' refused: ') ? true : null))
  await run('curl', ['-sS', `http://127.0.0.1:${port}/`])
  await waitFor('the request', () => (log().includes('without TLS') ? true : null))
  expect(log()).toMatch(/^\S+Z 127\.0\.0\.1 refused: /m)
  expect(log()).not.toContain('::ffff:')
})

test('every line of the log of serve --mtls begins with its time', async () => {
  const { serve, run, createAuthority } = openHome()
  const ca = await createAuthority()
  const { url, log } = await serve(['--mtls'])
  const before = log().length
  const { port } = new URL(url)
  await run('curl', ['-sS', '--cacert', ca, url])
  await run('curl', ['-sS', `http://127.0.0.1:${port}/`])
  await waitFor('both lines of the log', () =>
    log().includes('refused: the client sent no certificate.') && log().includes('without TLS')
      ? true
      : null,
  )
  const lines = log()
    .slice(before)
    .split('\n')
    .filter((line) => / refused: |without TLS/.test(line))
  for (const line of lines) expect(line).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z \S/)
  expect(lines.length).toBeGreaterThan(1)
})
