import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { chromium, type BrowserContext, type Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { RawClient } from '../../acme/raw.ts'
import { obtain, startResponder } from '../../acme/responder.ts'
import { chromiumClient } from '../e2e/client-chromium.ts'
import { run } from '../../helpers/subprocess.ts'
import { readTree } from '../../helpers/tree.ts'
import * as hostile from './hostile.ts'
import { startPorts, type Ports } from './ports.ts'

const obstacle = await chromiumClient.unavailable()
const skipNote = obstacle === null ? '' : ` [skipped: ${obstacle}]`

describe.skipIf(obstacle !== null)(`a page in Chromium${skipNote}`, () => {
  let ports: Ports
  let origin: Server
  let profile: string
  let context: BrowserContext
  let page: Page
  /** Every port by each of its addresses, with paths that hold something. */
  let urls: readonly string[]

  beforeAll(async () => {
    ports = await startPorts()
    const { daemon, acme, revocation, ocsp, demo } = ports
    const issued = await issue('secret-project.localhost')
    origin = createServer((_, response) => {
      response.setHeader('Content-Type', 'text/html')
      response.end('<!doctype html><title>evil</title><body>evil')
    }).listen(0, '127.0.0.1')
    await once(origin, 'listening')
    const on = (scheme: string, port: number, paths: readonly string[], hosts: readonly string[]) =>
      hosts.flatMap((host) => paths.map((path) => `${scheme}://${host}:${port}${path}`))
    const [v4, both] = [['localhost'], ['localhost', '[::1]']]
    const kinds = ['directory', 'new-nonce', 'new-account', 'new-order', 'revoke-cert']
    const acmePaths = [...kinds.map((kind) => `/acme/${kind}`), new URL(issued).pathname]
    urls = [
      ...on('https', acme.port, acmePaths, both),
      ...on('http', revocation.port, ['/local.crl', '/ocsp'], both),
      ...on('http', ocsp.port, ['/local.crl'], v4),
      ...on('https', demo.port, ['/'], v4),
    ]
    profile = await mkdtemp(join(tmpdir(), 'rootling-page-'))
    context = await chromium.launchPersistentContext(profile, {
      executablePath: '/usr/bin/chromium',
      env: daemon.environment(),
      // The browser of somebody whose stores trust the root: what stops the page is not the handshake.
      ignoreHTTPSErrors: true,
      // A page that was rebound while it was open has a policy of its own.
      bypassCSP: true,
      args: [
        '--no-sandbox',
        '--disable-gpu',
        '--disable-dev-shm-usage',
        '--host-resolver-rules=MAP *.test 127.0.0.1',
      ],
    })
    page = context.pages()[0] ?? (await context.newPage())
    await page.goto(`http://evil.test:${(origin.address() as AddressInfo).port}/`)
  })
  afterAll(async () => {
    await context.close()
    origin.close()
    await rm(profile, { recursive: true, force: true })
    await ports.close()
  })

  /** A certificate for a name by ACME, as a person's own client has it; gives its URL. */
  async function issue(name: string): Promise<string> {
    const { daemon } = ports
    const client = await new RawClient(daemon.acme, await daemon.root()).start()
    const responder = await startResponder(undefined, daemon.http01)
    try {
      return (await obtain(client, [name], responder)).certificate
    } finally {
      await responder.close()
      client.close()
    }
  }

  const state = () =>
    readTree(
      (program, args) => run(program, args, { PATH: '/usr/bin:/bin' }),
      ports.daemon.state.path,
    )

  async function changesNothing(attempt: () => Promise<void>): Promise<void> {
    const before = await state()
    await attempt()
    expect(await state()).toEqual(before)
  }

  test('can read what its own server says, by the means of these tests', async () => {
    const own = page.url()
    expect(await page.evaluate(hostile.fetchAll, [own])).not.toEqual([])
    expect(await page.evaluate(hostile.frameAll, [own])).toEqual([`${own} evil`])
    expect(await page.evaluate(hostile.embedAll, [own])).not.toEqual([])
  })

  test('reads nothing by fetch, in any mode, by any method and type', () =>
    changesNothing(async () => {
      expect(await page.evaluate(hostile.fetchAll, urls)).toEqual([])
    }))

  test('embeds nothing, and cannot tell one answer from another', () =>
    changesNothing(async () => {
      expect(await page.evaluate(hostile.embedAll, urls)).toEqual([])
    }))

  test('frames nothing', () =>
    changesNothing(async () => {
      expect(await page.evaluate(hostile.frameAll, urls)).toEqual([])
      const inside = page.frames().map((frame) => frame.evaluate(() => document.body.innerText))
      const shown = (await Promise.allSettled(inside)).map((one) =>
        one.status === 'fulfilled' ? one.value : '',
      )
      expect(shown.join('\n')).not.toMatch(/newNonce|BEGIN|connection is secured|secret-project/)
    }))

  test('opens no WebSocket and no EventSource', () =>
    changesNothing(async () => {
      expect(await page.evaluate(hostile.streamAll, urls)).toEqual([])
    }))

  test('posts forms of every kind in vain', () =>
    changesNothing(async () => {
      const types = ['application/x-www-form-urlencoded', 'multipart/form-data', 'text/plain']
      const tab = await context.newPage()
      for (const url of urls.filter((one) =>
        /localhost.*(?:order|certificate.*|ocsp|crl|\d\/)$/.test(one),
      ))
        for (const type of types) {
          await tab.goto(page.url())
          const [response] = await Promise.all([
            tab.waitForResponse((one) => one.url() === url),
            tab.waitForURL(url),
            tab.evaluate(hostile.postForm, [url, type] as const),
          ])
          // The demo is a page of its own, and only read.
          expect([url, response.status()]).toEqual([url, url.endsWith('/') ? 405 : 403])
        }
      await tab.close()
    }))

  test('rebinds its name to loopback, and every port tells it the same', () =>
    changesNothing(async () => {
      const tab = await context.newPage()
      for (const one of urls.filter((url) => !url.includes('[::1]'))) {
        const url = new URL(one)
        url.hostname = 'rebound.test'
        expect([one, (await tab.goto(url.href))?.status()]).toEqual([one, 421])
        // Now it is of the port's own origin, and may read all that it is told.
        for (const text of await tab.evaluate(hostile.fetchOwn))
          expect(text).toMatch(/^421 (?:.*host.*|.*loopback names.*)?$/s)
      }
      await tab.close()
    }))

  test('leaves a daemon that issues as before', async () => {
    const before = await state()
    expect(await issue('after.localhost')).toContain('/acme/certificate/')
    expect(await state()).not.toEqual(before)
  })
})
