// npx playwright test
import https from 'node:https'
import { test as base, expect } from '@playwright/test'
import { ephemeralAuthority } from 'rootling/test'

const test = base.extend({
  /** An authority for each worker. */
  ca: [async ({}, use) => use(await ephemeralAuthority()), { scope: 'worker' }],
  /** Chromium accepts its certificates; ignoreHTTPSErrors would accept all others too. */
  launchOptions: [
    async ({ ca, launchOptions }, use) => {
      const { args = [] } = launchOptions
      await use({ ...launchOptions, args: [...args, ...ca.chromiumArguments] })
    },
    { scope: 'worker' },
  ],
  /** Starts a server with a certificate, and returns its URL. */
  serve: async ({}, use) => {
    const servers = []
    await use(async (certificate) => {
      const server = https.createServer(certificate, (_request, response) => {
        response.setHeader('content-type', 'text/html')
        response.end('<title>Shop</title><h1>hello</h1>')
      })
      servers.push(server)
      await new Promise((resolve) => server.listen(0, 'localhost', resolve))
      return `https://localhost:${server.address().port}/`
    })
    for (const server of servers) {
      server.close()
      server.closeAllConnections()
    }
  },
})

test('opens a page in a secure context', async ({ page, ca, serve }) => {
  await page.goto(await serve(await ca.certificate()))
  await expect(page.getByRole('heading')).toHaveText('hello')
  expect(await page.evaluate(() => globalThis.isSecureContext)).toBe(true)
})

test('refuses another authority and a chain without its intermediate', async ({
  page,
  ca,
  serve,
}) => {
  for (const fault of ['wrong-issuer', 'self-signed', 'no-intermediate']) {
    const url = await serve(await ca.certificate('localhost', { fault }))
    await expect(page.goto(url), fault).rejects.toThrow('ERR_CERT_AUTHORITY_INVALID')
  }
})

// Playwright's `request` is Node's TLS in this process.
test('asks the server itself', async ({ playwright, ca, serve }) => {
  const trust = await ca.trust()
  const request = await playwright.request.newContext()
  const response = await request.get(await serve(await ca.certificate()))
  expect(await response.text()).toContain('hello')
  await request.dispose()
  trust.dispose()
})
