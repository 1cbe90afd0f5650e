import { execFileSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { chromium } from 'playwright-core'
import { expect, onTestFinished, test } from 'vitest'
import { ensureAuthority } from '../../../src/authority/create.ts'
import { builtPrograms } from '../../helpers/built.ts'
import { scrubbedEnvironment } from '../../helpers/scrubbed.ts'
import { killGroup, waitFor } from '../../helpers/subprocess.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'
import { openNetwork, type Host } from './networks.ts'

// A developer's machine and a phone in a network of their own, which needs root.
const programs = ['/usr/bin/nsenter', '/usr/bin/chromium', '/usr/bin/certutil', '/usr/bin/curl']
const missing = programs.filter((program) => !existsSync(program))
const isRoot = process.getuid?.() === 0
const obstacle = !isRoot ? 'needs root' : missing.length > 0 ? `needs ${missing.join(', ')}` : null
const note = obstacle === null ? '' : ` [skipped: ${obstacle}]`

interface Shared {
  readonly url: string
  readonly checkUrl: string
  readonly fingerprint: string
  readonly words: readonly string[]
}

async function openWorld() {
  const home = await temporaryDirectory()
  const state = { path: join(home, 'state'), owner: null }
  const { scope } = await ensureAuthority(state, new Date())
  const root = join(home, 'root.pem')
  await writeFile(root, scope.root.toString())
  const env = scrubbedEnvironment(home, { ROOTLING_HOME: state.path, NO_COLOR: '1' })
  const [developer, phone] = await openNetwork(env)

  /** Starts `rootling share --json`; `said` is what it prints on stderr. */
  async function share(...args: string[]) {
    const line = [builtPrograms().rootling, 'share', '--json', ...args]
    const [program = '', ...given] = line
    const child = developer.spawn(program, given, env)
    onTestFinished(() => killGroup(child))
    let [printed, said] = ['', '']
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => (printed += chunk))
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => (said += chunk))
    const ended = once(child, 'close').then(([code]) => code as number | null)
    const shared = await waitFor('the share', () => {
      if (child.exitCode !== null) throw new Error(said)
      return printed.trimEnd().endsWith('}') ? (JSON.parse(printed) as Shared) : null
    })
    return { ...shared, ended, child }
  }

  const curl = async (...args: string[]) => {
    const { stdout } = await phone.run('curl', ['-sS', '-i', ...args], env)
    return { status: Number(/^HTTP\/\S+ (\d+)/.exec(stdout)?.[1] ?? 0), text: stdout }
  }
  return { home, env, root, scope, developer, phone, share, curl }
}

/** A Chromium of the phone, whose home directory trusts these roots. */
async function openBrowser(host: Host, roots: readonly string[]) {
  const home = await temporaryDirectory()
  const env = scrubbedEnvironment(home)
  const database = join(home, '.local/share/pki/nssdb')
  await mkdir(database, { recursive: true })
  const nss = ['-d', `sql:${database}`]
  execFileSync('certutil', ['-N', ...nss, '--empty-password'], { env })
  for (const root of roots)
    execFileSync('certutil', ['-A', ...nss, '-t', 'C,,', '-n', 'root', '-i', root], { env })
  const program = join(home, 'chromium')
  await writeFile(program, `#!/bin/sh\nexec ${host.prefix.join(' ')} /usr/bin/chromium "$@"\n`)
  await chmod(program, 0o755)
  const context = await chromium.launchPersistentContext(join(home, 'profile'), {
    executablePath: program,
    env,
    timeout: 300_000,
    args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run'],
    viewport: { width: 360, height: 740 },
  })
  onTestFinished(() => context.close())
  return context.pages()[0] ?? context.newPage()
}

test.skipIf(obstacle !== null)(
  `a phone gets the root by the secret path, and nothing else is served${note}`,
  async () => {
    const { curl, share, developer, env, scope } = await openWorld()
    const { url, checkUrl, fingerprint, words, child, ended } = await share()
    expect(await curl(url)).toMatchObject({ status: 200 })
    const page = (await curl('-A', 'Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X)', url))
      .text
    expect(page).toContain(words.join(' '))
    expect(page).toContain('<details id="ios" open>')
    const { origin } = new URL(url)
    for (const path of ['', '/', '/favicon.ico', '/x/', `${new URL(url).pathname}../`, '/state'])
      expect((await curl('--path-as-is', `${origin}${path}`)).status, path).toBe(404)
    for (const more of ['state', '../', 'probe', '%2e%2e/', 'rootling-root.crt/x'])
      expect((await curl('--path-as-is', `${url}${more}`)).status, more).toBe(404)
    expect((await curl(url.slice(0, -1))).status).toBe(308)
    expect((await curl('-H', 'Host: evil.test', url)).status).toBe(421)
    expect((await curl('-X', 'POST', '-d', 'x', url)).status).toBe(405)
    expect((await curl('-k', new URL('/', checkUrl).href)).status).toBe(404)

    // What Python and OpenSSL read of the two kinds of files.
    const read = `import plistlib, subprocess, sys
profile = plistlib.loads(subprocess.run(['curl', '-sS', sys.argv[1]], capture_output=True).stdout)
[root] = profile['PayloadContent']
assert root['PayloadType'] == 'com.apple.security.root', root
sys.stdout.buffer.write(root['PayloadContent'])`
    const file = async (program: string, args: string[]): Promise<Buffer> => {
      const { stdout, stderr } = await developer.run(program, [...args], env)
      expect(stderr).toBe('')
      return Buffer.from(stdout, 'hex')
    }
    const hex = `${read.replace('sys.stdout.buffer.write(', 'print(')}`.replace(/\)$/, '.hex())')
    const profile = await file('python3', ['-c', hex, `${url}rootling.mobileconfig`])
    expect(profile.equals(scope.root.raw)).toBe(true)
    const der = await file('sh', [
      '-c',
      `curl -sS "$0" | od -An -v -tx1 | tr -d ' \\n'`,
      `${url}rootling-root.crt`,
    ])
    expect(new X509Certificate(der).fingerprint256.replaceAll(':', '').toLowerCase()).toBe(
      fingerprint,
    )
    const { text } = await curl(`${url}rootling-root.pem`)
    expect(text).toContain(scope.root.toString().trim().slice(0, 200))
    expect(text).not.toContain('PRIVATE')

    const listening = await developer.run('ss', ['-Hltn'], env)
    const ports = listening.stdout
      .trim()
      .split('\n')
      .map((line) => line.split(/\s+/)[3])
    expect(ports.toSorted()).toEqual([new URL(url).host, new URL(checkUrl).host])
    child.kill('SIGINT')
    expect(await ended).toBe(0)
  },
  300_000,
)

test.skipIf(obstacle !== null)(
  `the page goes to the check page once the browser trusts the root, and the command knows${note}`,
  async () => {
    const { phone, root, share } = await openWorld()
    const { url, checkUrl, ended } = await share('--once')
    const stranger = await openBrowser(phone, [])
    await stranger.goto(url)
    const status = stranger.locator('#status')
    await expect.poll(() => status.innerText(), { timeout: 60_000 }).toContain('does not trust')
    expect(stranger.url()).toBe(url)
    // Nothing is wider than a small phone.
    const width = await stranger.evaluate('document.documentElement.scrollWidth')
    expect(width).toBeLessThanOrEqual(360)
    const trusting = await openBrowser(phone, [root])
    const errors: string[] = []
    trusting.on('pageerror', (error) => errors.push(String(error)))
    const answered = trusting.waitForResponse((response) => response.url() === `${checkUrl}probe`)
    await trusting.goto(url)
    expect((await answered).status()).toBe(204)
    expect(await ended).toBe(0)
    expect(errors).toEqual([])
  },
  600_000,
)

test.skipIf(obstacle !== null)(
  `the check page shows a browser that it trusts the root${note}`,
  async () => {
    const { phone, root, share } = await openWorld()
    const { url, checkUrl } = await share()
    const page = await openBrowser(phone, [root])
    await page.goto(url)
    await page.waitForURL(checkUrl, { timeout: 60_000 })
    expect(await page.locator('h1').innerText()).toBe('This device trusts it')
  },
  600_000,
)

test.skipIf(obstacle !== null)(
  `it ends by itself, and with --once says that nobody trusted${note}`,
  async () => {
    const { curl, share } = await openWorld()
    const { url, ended } = await share('--minutes', '1', '--once')
    expect(await ended).toBe(4)
    expect((await curl(url)).status).toBe(0)
  },
  300_000,
)

test.skipIf(obstacle !== null || !existsSync('/usr/bin/zbarimg'))(
  `a reader of QR codes reads the address from the terminal${note}`,
  async () => {
    const { developer, env, home } = await openWorld()
    const command = `${builtPrograms().rootling} share`
    const terminal = developer.spawn('script', ['-qfc', command, '/dev/null'], env)
    onTestFinished(() => killGroup(terminal))
    let stdout = ''
    terminal.stdout.setEncoding('utf8').on('data', (chunk: string) => (stdout += chunk))
    await waitFor('the words', () => (stdout.includes('in words') ? true : null))
    const lines = stdout.split(/\r?\n/).filter((line) => /^[█▀▄ ]{20,}$/.test(line))
    const url = /http:\S+/.exec(stdout)?.[0]
    // Each letter is two squares, one above the other; a terminal is dark where nothing is drawn.
    const rows = lines.flatMap((line) => [
      [...line].map((letter) => '█▀'.includes(letter)),
      [...line].map((letter) => '█▄'.includes(letter)),
    ])
    const scale = 6
    const wide = rows.map((row) =>
      row.flatMap((light) => Array<string>(scale).fill(light ? '0' : '1')),
    )
    const bits = wide.flatMap((row) => Array<string>(scale).fill(row.join('')))
    const image = join(home, 'code.pbm')
    const size = `${(rows[0]?.length ?? 0) * scale} ${rows.length * scale}`
    await writeFile(image, `P1\n${size}\n${bits.join('\n')}\n`)
    const read = await developer.run('zbarimg', ['--quiet', '--raw', image], env)
    expect(read.stdout.trim()).toBe(url)
  },
  300_000,
)
