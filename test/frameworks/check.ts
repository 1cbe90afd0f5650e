import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { connect } from 'node:tls'
import type { Page } from 'playwright-core'
import { expect } from 'vitest'
import { revoke } from '../../src/certificates/revoke.ts'
import { fileStorage } from '../../src/storage/files/storage.ts'
import { freePort } from '../helpers/free-port.ts'
import { npmProgram } from '../helpers/npm-program.ts'
import { prepareExample, type Framework } from './example.ts'
import { makePerson, untilServed, type Person } from './person.ts'

/** What is seen of an example while its server runs. */
type Seen = Required<Pick<Framework, 'protocol' | 'update' | 'self' | 'renews'>>

/** Returns what frameworks.json says of an example. */
export const expected = ({ protocol, update, self, renews = false }: Framework): Seen => ({
  protocol,
  update,
  self,
  renews,
})

/**
 * Starts the server of an example as its document says, and looks at it in Chromium. Throws where
 * the browser does not accept the certificate or the page does not change. Calls `skip` with the
 * reason where the framework cannot be had.
 */
export async function observe(
  framework: Framework,
  versions: Readonly<Record<string, string>>,
  skip: (reason: string) => never,
): Promise<Seen> {
  const { node, missing } = await nodeFor(framework.node)
  if (node === null) return skip(missing)
  const { directory, missing: lacks } = await prepareExample(framework.name, versions)
  if (directory === null) return skip(lacks)
  const person = await makePerson(node)
  const port = await freePort()
  const command = framework.start.map((word) => word.replace('PORT', `${port}`))
  const server = person.start(directory, command, { PORT: `${port}` })
  try {
    await untilServed(`https://localhost:${port}/`, person, server)
    return await look(framework, directory, port, person)
  } catch (error) {
    throw new Error(`${String(error)}\nThe server said: ${server.said()}`, { cause: error })
  }
}

async function look(
  { page: path = '/', edit, update, self, renews = false }: Framework,
  directory: string,
  port: number,
  person: Person,
): Promise<Seen> {
  const origin = `https://localhost:${port}`
  const context = await person.openBrowser()
  const page = context.pages()[0] ?? (await context.newPage())
  const sockets: string[] = []
  page.on('websocket', (socket) => void sockets.push(socket.url()))
  const response = await page.goto(`${origin}${path}`, { timeout: limit })
  const details = await response?.securityDetails()
  expect(details).toMatchObject({ issuer: expect.stringContaining('Rootling') })
  expect(await page.evaluate('isSecureContext')).toBe(true)
  const navigation = "performance.getEntriesByType('navigation')[0].nextHopProtocol"
  const protocol = String(await page.evaluate(navigation))
  await shows(page, 'Hello')
  const restarts = update === 'restart'
  if (!restarts) {
    await expect.poll(() => sockets.length, { timeout: limit }).toBeGreaterThan(0)
    // What the page has not loaded yet is not updated.
    await page.waitForLoadState('networkidle', { timeout: limit })
  }
  await page.evaluate('globalThis.kept = true')
  await change(join(directory, edit))
  if (restarts) await expect.poll(() => reloaded(page), { timeout: limit }).toBe('Changed')
  else await shows(page, 'Changed')
  const kept = await page.evaluate('globalThis.kept === true')
  expect(sockets.filter((url) => !url.startsWith('wss:'))).toEqual([])
  if (self !== null) {
    await page.goto(`${origin}${self}`, { timeout: limit })
    expect(await page.locator('body').innerText()).toContain('itself: 200')
  }
  if (renews) await expectRenewal(port, person)
  return { protocol, update: kept ? 'hot' : restarts ? 'restart' : 'reload', self, renews } as Seen
}

/** How long a page may take, in milliseconds. */
const limit = 300_000

const greeting = '#greeting'

const shows = (page: Page, text: string) =>
  page.locator(greeting, { hasText: text }).waitFor({ timeout: limit })

/** Returns the greeting after the page was loaded again; `null`: the server does not answer. */
async function reloaded(page: Page): Promise<string | null> {
  try {
    await page.reload()
    return await page.locator(greeting).innerText({ timeout: 10_000 })
  } catch {
    return null
  }
}

async function change(file: string): Promise<void> {
  const before = await readFile(file, 'utf8')
  const after = before.replace('Hello', 'Changed')
  expect(after).not.toBe(before)
  await writeFile(file, after)
}

/** Checks that a certificate which was revoked is replaced while the server runs. */
async function expectRenewal(port: number, { root, state }: Person): Promise<void> {
  const shown = (): Promise<string> =>
    new Promise((resolve, reject) => {
      const socket = connect({ port, host: 'localhost', servername: 'localhost', ca: root }, () => {
        resolve(socket.getPeerCertificate().serialNumber.toLowerCase())
        socket.destroy()
      }).on('error', reject)
    })
  const target = await shown()
  await revoke(fileStorage(state), { target, reason: 'superseded', now: new Date() })
  await expect.poll(shown).not.toBe(target)
}

type NodeProgram =
  | { readonly node: string; readonly missing: null }
  | { readonly node: null; readonly missing: string }

/** Returns a Node of at least a major version: the one that runs the tests, or one of npm. */
async function nodeFor(major: number): Promise<NodeProgram> {
  if (Number(process.versions.node.split('.')[0]) >= major)
    return { node: process.execPath, missing: null }
  const name = `node-${process.platform}-${process.arch}`
  const { program, missing } = await npmProgram(
    `${name}@${major}`,
    'bin/node',
    `rootling-node${major}`,
  )
  return program === null ? { node: null, missing } : { node: program, missing: null }
}
