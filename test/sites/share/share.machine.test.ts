import { execFileSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { chromium } from 'playwright-core'
import { expect, onTestFinished, test } from 'vitest'
import { ensureAuthority } from '../../../src/authority/create.ts'
import { addRoute, removeRoutes } from '../../../src/proxy/kept-routes.ts'
import { builtPrograms } from '../../helpers/built.ts'
import { accessibilityFaults } from '../../helpers/accessibility.ts'
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

const hasMdnsClients =
  existsSync('/usr/bin/dig') && existsSync('/usr/lib/python3/dist-packages/zeroconf/__init__.py')

interface Shared {
  readonly url: string
  readonly checkUrl: string
  readonly fingerprint: string
  readonly words: readonly string[]
  readonly apps: readonly string[]
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
  return { home, state, env, root, scope, developer, phone, share, curl }
}

/** A Chromium of the phone, whose home directory trusts these roots. */
async function openBrowser(host: Host, roots: readonly string[]) {
  const home = await temporaryDirectory()
  const env = scrubbedEnvironment(home)
  const database = join(home, '.local/share/pki/nssdb')
  await mkdir(database, { recursive: true })
  const nss = ['-d', `sql:${database}`]
  execFileSync('/usr/bin/certutil', ['-N', ...nss, '--empty-password'], { env })
  for (const root of roots)
    execFileSync('/usr/bin/certutil', ['-A', ...nss, '-t', 'C,,', '-n', 'root', '-i', root], {
      env,
    })
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
    const hex = read.replace('sys.stdout.buffer.write(', 'print(').replace(/\)$/, '.hex())')
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
    for (const each of await stranger.locator('summary').all())
      if ((await each.locator('..').getAttribute('open')) === null) await each.click()
    for (const colorScheme of ['light', 'dark'] as const) {
      await stranger.emulateMedia({ colorScheme })
      expect(await accessibilityFaults(stranger)).toEqual([])
    }
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

test.skipIf(obstacle !== null || !hasMdnsClients)(
  `the phone finds a shared app by its name below .local, and no other app${note}`,
  async () => {
    const { curl, developer, phone, env, root, share, state } = await openWorld()
    const serve = `require('http').createServer((q, s) => s.end(q.headers.host + q.url)).listen(3000, '127.0.0.1', () => console.log('up'))`
    const app = developer.spawn(process.execPath, ['-e', serve], env)
    onTestFinished(() => killGroup(app))
    await once(app.stdout, 'data')
    const route = { path: '/', to: 'http://localhost:3000', changeOrigin: false } as const
    for (const host of ['web.shop.localhost', 'secret.localhost'])
      await addRoute(state, { ...route, host, owner: { kind: 'hand' } })
    // Neither the default nor a wildcard is shared with it.
    const api = { host: 'web.shop.localhost', path: '/a', owner: { kind: 'hand' } } as const
    await removeRoutes(state, ({ host }) => host === api.host)
    await addRoute(state, { ...route, ...api })
    for (const host of ['*', '*.localhost', '*.shop.localhost'])
      await addRoute(state, { ...route, host, owner: { kind: 'hand' } })
    const { apps, url, child, ended } = await share('web.shop.localhost')
    expect(apps).toEqual(['https://web-shop.local/'])
    expect((await curl(url)).text).toContain('href="https://web-shop.local/"')

    // Bonjour in Python asks the whole network, and knows nothing else of the names.
    const ask = `import sys, time
from zeroconf import DNSOutgoing, DNSQuestion, Zeroconf
network = Zeroconf(interfaces=['192.168.7.2'])
for name in sys.argv[1:]:
    query = DNSOutgoing(0)
    query.add_question(DNSQuestion(name, 1, 1))
    network.send(query)
    end = time.time() + (2 if 'secret' in name else 30)
    while not network.cache.entries_with_name(name) and time.time() < end:
        time.sleep(0.1)
    print(name, *['.'.join(map(str, each.address)) for each in network.cache.entries_with_name(name)])
network.close()`
    const names = ['web-shop.local.', 'WEB-shop.local.', 'secret.local.']
    const { stdout: found, stderr } = await phone.run(
      '/usr/bin/python3',
      ['-c', ask, ...names],
      env,
    )
    expect([found, stderr]).toEqual([
      'web-shop.local. 192.168.7.1\nWEB-shop.local. 192.168.7.1\nsecret.local.\n',
      '',
    ])
    // A client that knows no multicast asks the machine itself (RFC 6762 section 6.7).
    const dig = async (...words: string[]): Promise<string> => {
      const line = ['@192.168.7.1', '-p', '5353', '+tries=1', '+time=2', '+noall', '+answer']
      return (await phone.run('dig', [...line, ...words], env)).stdout.trim()
    }
    expect(await dig('web-shop.local')).toMatch(
      /^web-shop\.local\.\s+10\s+IN\s+A\s+192\.168\.7\.1$/,
    )
    // It has no IPv6 address, and says so at once.
    expect(await dig('web-shop.local', 'AAAA')).toMatch(/\sNSEC\s+web-shop\.local\. A$/)
    const trusting = (name: string) => [
      ...['--cacert', root, '--resolve', `${name}:443:192.168.7.1`, `https://${name}/a?b`],
    ]
    expect((await curl(...trusting('web-shop.local'))).text).toContain('localhost:3000/a?b')
    expect(await curl(...trusting('secret.local'))).toMatchObject({ status: 0 })
    for (const host of ['secret.local', 'secret.localhost', 'web.shop.localhost', '192.168.7.1']) {
      const lie = ['-H', `Host: ${host}`, ...trusting('web-shop.local')]
      expect((await curl(...lie)).status, host).not.toBe(200)
    }
    const beside = trusting('web-shop.local').map((each) => each.replace('/a?b', '/b'))
    expect((await curl(...beside)).status).toBe(404)
    // Nobody can be answered at port 0.
    const odd = `import socket, struct
query = b'\\0\\1\\0\\0\\0\\1\\0\\0\\0\\0\\0\\0\\x08web-shop\\5local\\0\\0\\1\\0\\1'
out = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP)
out.sendto(struct.pack('!HHHH', 0, 5353, 8 + len(query), 0) + query, ('192.168.7.1', 0))`
    expect(await phone.run('/usr/bin/python3', ['-c', odd], env)).toMatchObject({ exitCode: 0 })
    expect(await dig('web-shop.local')).toContain('192.168.7.1')
    // Another machine that shares the same name is told.
    const line = ['share', 'web.shop.localhost', '--port', '1024']
    const other = await phone.run(builtPrograms().rootling, line, env)
    expect([other.exitCode, other.stderr]).toEqual([2, expect.stringContaining('192.168.7.1')])
    child.kill('SIGINT')
    expect(await ended).toBe(0)
    expect((await curl(...trusting('web-shop.local'))).status).toBe(0)
  },
  300_000,
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
      line.split('').map((letter) => '█▀'.includes(letter)),
      line.split('').map((letter) => '█▄'.includes(letter)),
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
