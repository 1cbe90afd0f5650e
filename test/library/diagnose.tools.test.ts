import { chmodSync, existsSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { once } from 'node:events'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { ephemeralAuthority } from '../../src/ephemeral/index.ts'
import { certificateFor, diagnose, trust, trustStatus } from '../../src/index.ts'
import { serve } from '../ephemeral/visit.ts'
import { temporaryDirectory } from '../helpers/temporary.ts'

// The findings of stores are provoked in trust.machine.test.ts, on a machine of its own.

const newHome = async (): Promise<string> => join(await temporaryDirectory(), 'state')
/** The stores of this machine do not count here. */
const stores: [] = []

test('finds a key that others can read, with the command that closes it', async () => {
  const home = await newHome()
  const { keyPath } = await certificateFor('localhost', { home })
  const before = await diagnose({ home, stores })
  expect(before.findings.map(({ code }) => code)).not.toContain('loose-key')
  chmodSync(keyPath, 0o644)
  const { findings } = await diagnose({ home, stores })
  expect(findings.find(({ code }) => code === 'loose-key')).toEqual({
    code: 'loose-key',
    subject: keyPath,
    severity: 'error',
    sentence: `Others can read the private key ${keyPath} (mode 0644).`,
    remedy: `chmod 600 ${keyPath}`,
    command: `chmod 600 ${keyPath}`,
    safe: true,
  })
  expect(JSON.parse(JSON.stringify(findings))).toEqual(findings)
})

test('visits the servers that are named', async () => {
  const home = await newHome()
  const port = await serve(await certificateFor('localhost', { home }))
  const other = await serve(await (await ephemeralAuthority()).certificate())
  const plain = createServer((socket) => socket.end('HTTP/1.1 200 OK\r\n\r\n'))
  await once(plain.listen(0, 'localhost'), 'listening')
  onTestFinished(() => void plain.close())
  const { port: http } = plain.address() as AddressInfo
  const urls = [new URL(`https://localhost:${port}/`), `localhost:${other}`, `localhost:${http}`]
  const { findings, servers } = await diagnose({ home, stores, urls })
  const codesOf = (url: number): string[] =>
    findings
      .filter(({ sentence, subject }) => `${sentence} ${subject}`.includes(`:${url}`))
      .map(({ code }) => code)
  expect(codesOf(port)).not.toContain('served-by-another')
  expect(codesOf(other)).toContain('served-by-another')
  expect(codesOf(http)).toContain('plain-http')
  expect(servers.map(({ url }) => url)).toEqual([
    `https://localhost:${port}/`,
    `https://localhost:${other}/`,
    `https://localhost:${http}/`,
  ])
  expect(servers[0]?.handshakes[0]).toMatchObject({ serverName: 'localhost' })
})

test('makes nothing where there is no authority', async () => {
  const home = await newHome()
  const { findings, checked } = await diagnose({ home, stores, cwd: await temporaryDirectory() })
  expect(checked.length).toBeGreaterThan(3)
  expect(findings.map(({ remedy }) => remedy).join()).not.toContain('undefined')
  expect(existsSync(home)).toBe(false)
  expect(await trustStatus({ home })).toEqual({
    isTrusted: false,
    home,
    scopes: [],
    stores: [],
    kinds: null,
  })
  expect(existsSync(home)).toBe(false)
})

test('options that mean nothing are refused before anything is done', async () => {
  const home = await newHome()
  const bad = { home, stores: ['firefox' as 'nss'] }
  const refused = {
    name: 'RootlingError',
    code: 'usage',
    message: 'stores: there is no kind of store "firefox".',
    hint: "stores: ['system', 'nss', 'java']",
  }
  for (const call of [trust, trustStatus, diagnose])
    await expect(call(bad)).rejects.toMatchObject(refused)
  for (const javaPasswordFile of ['password', '/nowhere/password', '/', 'a\0'])
    for (const call of [trust, trustStatus, diagnose])
      await expect(call({ home, javaPasswordFile })).rejects.toMatchObject({
        code: 'file-unreadable',
      })
  for (const call of [trust, trustStatus, diagnose])
    await expect(call({ home: 'state' })).rejects.toMatchObject({ code: 'usage' })
  await expect(diagnose({ home, urls: ['http://localhost/'] })).rejects.toMatchObject({
    code: 'usage',
  })
  expect(existsSync(home)).toBe(false)
})
