import { join } from 'node:path'
import { chromium, type Browser } from 'playwright-core'
import type { Namespace } from '../../helpers/namespace.ts'
import { killGroup } from '../../helpers/subprocess.ts'
import { notInstalled, unexpected } from './client.ts'
import type { Client } from './client.ts'

const flags = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--disable-dev-shm-usage',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--remote-debugging-port=0',
]

/** Chromium, headless; its certificate database belongs to the home directory, not the profile. */
export const chromiumClient: Client = {
  name: 'chromium',
  unavailable: () => notInstalled('chromium'),
  async open(namespace) {
    const { browser, program } = await launch(namespace).catch(() => launch(namespace))
    try {
      const context = browser.contexts()[0] ?? (await browser.newContext())
      return {
        async fetch(url) {
          const page = await context.newPage()
          // The failed request comes at once; the page that explains it to a person, 3 s later.
          const failure = new Promise<string>((resolve) => {
            page.on('requestfailed', (request) => {
              if (request.isNavigationRequest()) resolve(request.failure()?.errorText ?? '')
            })
          })
          const arrival = page.goto(url, { timeout: 300_000 }).then(
            () => null,
            (error: unknown) => String(error),
          )
          try {
            const failed = await Promise.race([failure, arrival])
            if (failed === null) {
              return { trusted: true, body: await page.locator('body').innerText() }
            }
            const refusal = /net::ERR_CERT_\w+/.exec(failed)
            if (!refusal) throw unexpected('chromium', url, failed)
            return { trusted: false, reason: refusal[0] }
          } finally {
            await page.close()
          }
        },
        async close() {
          await browser.close()
          killGroup(program)
        },
      }
    } catch (error) {
      killGroup(program)
      throw error
    }
  },
}

interface Launched {
  readonly browser: Browser
  readonly program: ReturnType<Namespace['spawn']>
}

/** On a busy machine one in many never answers on its control port, so `open` begins anew once. */
async function launch(namespace: Namespace): Promise<Launched> {
  // A profile for each start: one that was killed greets the next start with its lock.
  const profile = join(namespace.home, '.config', `chromium-${Date.now()}`)
  const program = namespace.spawn('chromium', [...flags, `--user-data-dir=${profile}`])
  try {
    const address = await endpoint(program.stderr)
    return { browser: await chromium.connectOverCDP(address, { timeout: 200_000 }), program }
  } catch (error) {
    killGroup(program)
    throw error
  }
}

/** The address that Chromium prints once it listens; the stream must be read on, or it blocks. */
function endpoint(stderr: NodeJS.ReadableStream): Promise<string> {
  return new Promise((resolve, reject) => {
    let said = ''
    const fail = () => reject(new Error(`chromium did not start: ${said.slice(-2000)}`))
    const timer = setTimeout(fail, 300_000)
    stderr.on('end', fail)
    stderr.on('data', (chunk: Buffer) => {
      said += chunk.toString()
      const found = /DevTools listening on (ws:\S+)/.exec(said)
      if (!found?.[1]) return
      clearTimeout(timer)
      resolve(found[1])
    })
  })
}
