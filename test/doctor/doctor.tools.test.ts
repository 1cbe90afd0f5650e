import { chmodSync, mkdirSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:tls'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { command } from '../helpers/built.ts'
import { openHome, type Home } from '../helpers/home.ts'
import { openWorkshop } from './certificates.ts'

// doctor in a home of its own, where no store may be changed: what it prints, and what it refuses.

async function openChosen(): Promise<Home> {
  const home = openHome()
  await home.rootling(['install', '--stores', 'none', '--yes'])
  return home
}

test('doctor prints a sentence and a command for each finding, and a summary at the end', async () => {
  const { rootling, directory } = await openChosen()
  const clean = await rootling(['doctor'])
  expect(clean.stdout).toMatch(/^✓ Nothing is wrong\. Looked at: trust stores \(\d+\), /)
  expect(clean.exitCode).toBe(0)
  const key = join(directory, 'state/scopes/local/intermediate-key.pem')
  chmodSync(key, 0o644)
  const { stdout, exitCode } = await rootling(['doctor'])
  expect(stdout.split('\n')).toEqual([
    `✗ Others can read the private key ${key} (mode 0644).`,
    `  → chmod 600 ${key}`,
    '',
    '1 error.',
    expect.stringMatching(/^To mend 1 of them: ROOTLING_HOME=\S+ rootling doctor --fix$/),
    expect.stringMatching(/^Looked at: trust stores \(\d+\), .*\.$/),
    '',
  ])
  expect(exitCode).toBe(1)
})

test('doctor changes nothing without --fix, asks for --fix, and agrees by --yes', async () => {
  const { rootling, json, directory } = await openChosen()
  const key = join(directory, 'state/scopes/local/intermediate-key.pem')
  chmodSync(key, 0o644)
  const mode = (): number => statSync(key).mode & 0o777
  await rootling(['doctor'])
  expect(mode()).toBe(0o644)
  const asked = await rootling(['doctor', '--fix'])
  expect(asked.stderr).toContain('Nothing was mended, since nobody could be asked')
  expect(asked.exitCode).toBe(1)
  expect(mode()).toBe(0o644)
  const { value, exitCode } = await json(['doctor', '--fix', '--yes'])
  expect(value).toMatchObject({
    findings: [],
    fixed: [{ action: 'chmod', subjects: [key], done: true }],
  })
  expect(exitCode).toBe(0)
  expect(mode()).toBe(0o600)
  expect((await rootling(['doctor', '--yes'])).exitCode).toBe(2)
})

test('doctor refuses what is no https URL', async () => {
  const { rootling } = await openChosen()
  for (const url of ['http://localhost', 'ftp://localhost', '::', '']) {
    const { exitCode, stderr } = await rootling(['doctor', url])
    expect([url, exitCode]).toEqual([url, 2])
    expect(stderr).toMatch(/^Error: /)
  }
})

test('doctor finds what up would change for the nearest rootling.json', async () => {
  const { json, run, directory } = await openChosen()
  const app = join(directory, 'app')
  mkdirSync(app)
  const inApp = async (...args: string[]) => {
    const all = [`--chdir=${app}`, process.execPath, command, '--json', ...args]
    const { stdout, exitCode } = await run('env', all)
    return { exitCode, value: JSON.parse(stdout) as { findings?: unknown } }
  }
  const write = (rest: object): void =>
    writeFileSync(join(app, 'rootling.json'), JSON.stringify({ version: 1, ...rest }))
  expect(await inApp('doctor')).toMatchObject({ exitCode: 0, value: { findings: [] } })
  const certificates = [{ names: ['localhost'], cert: 'web.pem', key: 'web-key.pem' }]
  const drift = (sentence: string) => ({
    exitCode: 1,
    value: {
      findings: [
        {
          code: 'project-drift',
          subject: join(app, 'rootling.json'),
          severity: 'warning',
          sentence: expect.stringContaining(sentence),
          command: expect.stringMatching(/rootling up$/),
        },
      ],
    },
  })
  write({ certificates })
  expect(await inApp('doctor')).toMatchObject(drift('app/rootling.json says: certificate web.pem.'))
  await inApp('issue', 'localhost', '--cert-file', 'web.pem', '--key-file', 'web-key.pem')
  expect(await inApp('doctor')).toMatchObject({ exitCode: 0, value: { findings: [] } })
  write({ certificates, hosts: { 'doctor-drift.test': '127.0.0.1' } })
  expect(await inApp('doctor')).toMatchObject(drift('says: hosts doctor-drift.test.'))
  write({ certificates: 'none' })
  expect(await inApp('doctor')).toMatchObject({
    exitCode: 1,
    value: { findings: [{ code: 'damaged-state', subject: 'rootling.json' }] },
  })
  // Elsewhere, the project does not count.
  expect(await json(['doctor'])).toMatchObject({ exitCode: 0, value: { findings: [] } })
})

test('doctor finds that Node refuses a server, and nothing once Node is given the root', async () => {
  const { rootling, serve, directory } = await openChosen()
  const { url } = await serve()
  const { stdout, exitCode } = await rootling(['doctor', url])
  const { host } = new URL(url)
  const advice = `eval "$(ROOTLING_HOME=${join(directory, 'state')} rootling env)"`
  expect(stdout).toContain(
    `! ${host} shows a certificate that Node on this machine would refuse.\n  → ${advice}\n`,
  )
  expect(stdout).toMatch(/✗ +Node +No variable gives it the root\./)
  expect(stdout).toMatch(/\n1 warning\.\nLooked at: /)
  expect(exitCode).toBe(1)
  const root = join(directory, 'state/scopes/local/root.pem')
  const given = await rootling(['doctor', url], { env: { NODE_EXTRA_CA_CERTS: root } })
  expect(given.stdout).toMatch(/\n✓ Nothing is wrong\./)
  expect(given.exitCode).toBe(0)
})

test('doctor prints what a server says as harmless text of bounded length', async () => {
  const { rootling } = await openChosen()
  const workshop = await openWorkshop()
  onTestFinished(() => workshop.remove())
  const evil = `\u001B[2J\u202E${'x'.repeat(50)}`
  const { cert, key } = await workshop.make({
    subject: `/CN=${evil}`,
    self: true,
    extensions: ['subjectAltName=DNS:app.localhost', 'basicConstraints=CA:FALSE'],
  })
  const server = createServer({ cert, key }).on('tlsClientError', () => undefined)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  const { port } = server.address() as AddressInfo
  const { stdout, exitCode } = await rootling(['doctor', `https://app.localhost:${port}`])
  expect(exitCode).toBe(1)
  expect(stdout).toContain('is of another issuer: itself')
  expect(stdout.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Cf}]/u)
})

test('doctor survives servers that never answer and never end', async () => {
  const { rootling } = await openChosen()
  const { createServer: listen } = await import('node:net')
  const silent = listen((socket) => socket.on('error', () => undefined)).listen(0, '127.0.0.1')
  const endless = listen((socket) => {
    socket.on('error', () => undefined)
    const write = (): void => {
      while (!socket.destroyed && socket.write('\u0016\u0003\u0001'.repeat(10_000)));
      socket.once('drain', write)
    }
    write()
  }).listen(0, '127.0.0.1')
  onTestFinished(() => {
    silent.close()
    endless.close()
  })
  for (const each of [silent, endless]) if (!each.listening) await once(each, 'listening')
  for (const server of [silent, endless]) {
    const { port } = server.address() as AddressInfo
    const { stdout, exitCode } = await rootling(['doctor', `https://127.0.0.1:${port}`], {
      timeout: 60_000,
    })
    expect(exitCode).toBe(1)
    expect(stdout).toMatch(/ends the handshake|Nothing listens/)
  }
})

test('doctor names a damaged settings file in no way, and a huge one is not read', async () => {
  const { rootling, directory } = await openChosen()
  writeFileSync(join(directory, '.npmrc'), Buffer.alloc(8 * 1024 * 1024, 'cafile=/etc/gone\n'))
  writeFileSync(join(directory, '.gitconfig'), '[http\nsslVerify == \u0000false\n[[[')
  expect((await rootling(['doctor'])).exitCode).toBe(0)
})
