import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import axe from 'axe-core'
import { expect, onTestFinished, test } from 'vitest'
import { accessibilityFaults } from '../../helpers/accessibility.ts'
import { killGroup, start, waitFor } from '../../helpers/subprocess.ts'
import { connectMarionette } from '../../outside/e2e/marionette.ts'
import { openDashboard } from './open-dashboard.ts'

const missing = ['/usr/bin/chromium', '/usr/bin/certutil'].filter((each) => !existsSync(each))
const note = missing.length === 0 ? '' : ` [skipped: needs ${missing.join(', ')}]`

test.skipIf(missing.length > 0)(
  `Chromium shows routes, requests and certificates, and renews one by the keyboard${note}`,
  async () => {
    const { person, url, shop, rootling } = await openDashboard()
    const context = await person.openBrowser()
    const page = context.pages()[0] ?? (await context.newPage())
    const errors: string[] = []
    page.on('pageerror', (error) => errors.push(String(error)))
    page.on('console', (message) => {
      if (message.type() === 'error') errors.push(message.text())
    })
    await page.goto(`${shop}cart?token=secret-in-a-query`)
    await page.goto(url)
    await expect.poll(() => page.locator('#routes').innerText()).toContain('shop.localhost')
    // The secret is neither in the address nor in the history any more, and a reload keeps the page.
    expect(page.url()).not.toContain('token')
    await page.reload()
    const requests = page.locator('#requests')
    await expect.poll(() => requests.innerText()).toContain('GET shop.localhost/cart?…')
    await requests.locator('summary').first().click()
    await expect.poll(() => requests.innerText()).toContain('user-agent: Mozilla')
    expect(await requests.innerText()).toMatch(/set-cookie: …/i)
    expect(await page.content()).not.toContain('secret-')

    const find = page.getByRole('button', { name: 'Renew app.test' })
    const before = await find.getAttribute('data-serial')
    await find.focus()
    await page.keyboard.press('Enter')
    await expect
      .poll(() => page.locator('#status').innerText(), { timeout: 60_000 })
      .toBe('Renewed app.test.')
    await expect.poll(() => find.getAttribute('data-serial')).not.toBe(before)
    const { certificates } = await rootling('list')
    const serials = (certificates as { serialNumber: string }[]).map((each) => each.serialNumber)
    expect(serials).toContain(await find.getAttribute('data-serial'))

    await page.getByRole('button', { name: 'Ask them' }).click()
    await expect
      .poll(() => page.locator('#stores').innerText(), { timeout: 60_000 })
      .toContain('System store')
    await page.getByRole('button', { name: 'Run doctor' }).click()
    await expect
      .poll(() => page.locator('#findings-rows').innerText(), { timeout: 300_000 })
      .not.toBe('')
    for (const colorScheme of ['light', 'dark'] as const)
      for (const width of [360, 1280]) {
        await page.emulateMedia({ colorScheme })
        await page.setViewportSize({ width, height: 800 })
        expect(await accessibilityFaults(page)).toEqual([])
        const wide = await page.evaluate('document.documentElement.scrollWidth')
        expect(wide).toBeLessThanOrEqual(width)
      }
    expect(errors).toEqual([])

    const other = await context.newPage()
    await other.goto(page.url())
    await expect.poll(() => other.locator('#status').innerText()).toContain('rootling dashboard')
    expect(await other.locator('#all').isHidden()).toBe(true)
  },
  600_000,
)

test.skipIf(missing.length > 0)(
  `a page of another origin reads nothing, and causes nothing${note}`,
  async () => {
    const { person, port, shop, token, rootling } = await openDashboard()
    const context = await person.openBrowser()
    const page = context.pages()[0] ?? (await context.newPage())
    await page.goto(shop)
    const inFile = async (): Promise<string[]> => {
      const { certificates } = await rootling('list')
      const all = certificates as { serialNumber: string; certPath: string | null }[]
      // The proxy itself keeps one for each name with a route.
      const own = (path: string | null): boolean => path === null || path.includes('/kept/')
      return all.flatMap((each) => (own(each.certPath) ? [] : each.serialNumber))
    }
    const before = await inFile()
    const [serialNumber] = before
    const site = `https://rootling.localhost:${port}`
    // The attacker even knows the token and a serial number.
    const attempt = `async ([site, token, serialNumber]) => {
      const results = []
      const headers = { Authorization: 'Bearer ' + token, 'Content-Type': 'application/json' }
      const body = JSON.stringify({ serialNumber })
      for (const options of [
        {}, { headers }, { method: 'POST', headers, body },
        { method: 'POST', body }, { mode: 'no-cors', method: 'POST', body }, { mode: 'no-cors' },
      ])
        for (const path of ['/', '/api/overview', '/api/renew'])
          results.push(await fetch(site + path, { credentials: 'include', ...options }).then((r) => r.type + ' ' + r.status, () => 'refused'))
      const frame = document.createElement('iframe')
      frame.src = site + '/'
      const loaded = new Promise((resolve) => { frame.onload = resolve })
      document.body.append(frame)
      await loaded
      let inside = 'unreadable'
      try { inside = frame.contentDocument.body.innerText } catch {}
      const form = document.createElement('form')
      Object.assign(form, { action: site + '/api/renew', method: 'post', enctype: 'text/plain', target: 'x' })
      frame.name = 'x'
      const field = document.createElement('input')
      Object.assign(field, { name: '{"serialNumber":"' + serialNumber + '","x":"', value: '"}' })
      form.append(field)
      document.body.append(form)
      form.submit()
      return { results, inside }
    }`
    const { results, inside } = await page.evaluate<{ results: string[]; inside: string }>(
      `(${attempt})(${JSON.stringify([site, token, serialNumber])})`,
    )
    expect(results).toEqual(Array(18).fill('refused'))
    expect(inside).not.toContain('Rootling')
    expect(before).not.toEqual([])
    expect(await inFile()).toEqual(before)
  },
  600_000,
)

test.skipIf(!existsSync('/usr/bin/firefox-esr') || missing.length > 0)(
  `Firefox shows it too, and axe finds nothing there${note}`,
  async () => {
    const { person, url, shop } = await openDashboard()
    const profile = mkdtempSync(join(tmpdir(), 'rootling-firefox-'))
    mkdirSync(profile, { recursive: true })
    writeFileSync(join(profile, 'user.js'), "user_pref('marionette.port', 0);\n")
    const root = join(profile, 'root.pem')
    writeFileSync(root, person.root)
    const nss = ['-d', `sql:${profile}`]
    execFileSync('/usr/bin/certutil', ['-N', ...nss, '--empty-password'], { env: person.env })
    execFileSync('/usr/bin/certutil', ['-A', ...nss, '-t', 'C,,', '-n', 'root', '-i', root], {
      env: person.env,
    })
    const flags = ['--headless', '--marionette', '--remote-allow-system-access', '--no-remote']
    const firefox = start('firefox-esr', [...flags, '--profile', profile], person.env)
    firefox.stdout.resume()
    firefox.stderr.resume()
    onTestFinished(() => killGroup(firefox))
    const file = join(profile, 'MarionetteActivePort')
    const port = await waitFor('Firefox', () =>
      existsSync(file) ? Number(readFileSync(file, 'utf8')) || null : null,
    )
    const marionette = await connectMarionette(port)
    onTestFinished(() => marionette.close())
    await marionette.send('WebDriver:NewSession', {
      capabilities: { alwaysMatch: { acceptInsecureCerts: false } },
    })
    const evaluate = async (script: string): Promise<unknown> => {
      const result = await marionette.send('WebDriver:ExecuteScript', { script, args: [] })
      return (result as { value: unknown }).value
    }
    await marionette.send('WebDriver:Navigate', { url: shop })
    await marionette.send('WebDriver:Navigate', { url })
    await expect
      .poll(() => evaluate('return document.body.innerText'), { timeout: 60_000 })
      .toContain('GET shop.localhost/')
    expect(await evaluate('return location.href')).not.toContain('token')
    await evaluate(axe.source)
    const faults = await marionette.send('WebDriver:ExecuteAsyncScript', {
      script:
        'const done = arguments[0]; axe.run().then((r) => done(r.violations.map((v) => v.id)))',
      args: [],
    })
    expect(faults).toEqual({ value: [] })
  },
  600_000,
)
