import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { namespaceUnavailable } from '../helpers/namespace.ts'
import { createAuthority, rootlingIn } from '../helpers/rootling.ts'
import { killGroup, waitFor } from '../helpers/subprocess.ts'
import { testNamespace } from '../helpers/test-namespace.ts'
import { notInstalled } from '../outside/e2e/client.ts'

// Ports 443 and 80 of a network of its own, in which the test is root and so may have them.

const missing = await Promise.all(['ip', 'curl'].map(notInstalled))
const obstacle = namespaceUnavailable() ?? missing.find((reason) => reason !== null) ?? null

async function openMachine() {
  const namespace = await testNamespace({ ownLoopback: true })
  const root = join(await createAuthority(namespace), 'local/root.pem')
  const rootling = rootlingIn(namespace)
  const listen = async (port: number, answer: string): Promise<void> => {
    const script = `require('node:http').createServer((_, response) => response.end('${answer}')).listen(${port}, '127.0.0.1', () => console.log('ready'))`
    const program = namespace.spawn(process.execPath, ['-e', script])
    onTestFinished(() => killGroup(program))
    let said = ''
    program.stdout.setEncoding('utf8').on('data', (text: string) => (said += text))
    await waitFor('the server', () => (said.includes('ready') ? true : null))
  }
  const curl = (url: string, ...more: readonly string[]) =>
    namespace.run('curl', ['-sS', '--max-time', '60', '--cacert', root, ...more, url])
  await rootling.must(['daemon', 'start', '--acme-port=0', '--revocation-port=0'])
  await listen(3000, 'the app')
  return { rootling, listen, curl }
}

describe.skipIf(obstacle !== null)(
  `the proxy’s ports${obstacle === null ? '' : ` [skipped: ${obstacle}]`}`,
  () => {
    test('are 443, with no port in the URL, and 80, which leads there', async () => {
      const { rootling, curl } = await openMachine()
      expect(await rootling.must(['proxy', 'add', 'shop', '3000'])).toMatchObject({
        stdout: 'https://shop.localhost/\n',
        stderr: 'shop.localhost leads to http://localhost:3000 now.\n',
      })
      for (const address of ['127.0.0.1', '[::1]']) {
        const resolve = ['443', '80'].flatMap((port) => [
          '--resolve',
          `shop.localhost:${port}:${address}`,
        ])
        expect((await curl('https://shop.localhost/', ...resolve)).stdout).toBe('the app')
        const redirect = ['-o', '/dev/null', '-w', '%{http_code} %{redirect_url}']
        expect((await curl('http://shop.localhost/a?b', ...resolve, ...redirect)).stdout).toBe(
          '308 https://shop.localhost/a?b',
        )
        expect((await curl('http://shop.localhost/', ...resolve, '-L')).stdout).toBe('the app')
      }
      expect((await rootling.must(['daemon', 'status'])).stdout).toContain(
        'proxy         https://localhost:443\n',
      )
      for (const [port, what] of [
        ['443', 'is the proxy itself'],
        ['80', 'is where the proxy itself redirects http to https'],
      ] as const) {
        const refused = await rootling.run(['proxy', 'add', 'round', port])
        expect(refused).toMatchObject({ exitCode: 2, stderr: expect.stringContaining(what) })
      }
      expect((await rootling.must(['proxy', 'list'])).stdout).not.toContain('round')
    })

    test('are 14443 where another program has 443, and that is said with what to type', async () => {
      const { rootling, listen, curl } = await openMachine()
      await listen(443, 'another')
      const { stdout, stderr } = await rootling.must(['proxy', 'add', 'shop', '3000'])
      expect(stdout).toBe('https://shop.localhost:14443/\n')
      const reason = 'Another program already listens on 127.0.0.1:443.'
      expect(stderr).toContain(`The proxy listens at 14443. ${reason}`)
      expect(stderr).toContain('End that program, then: rootling daemon restart')
      expect((await curl('https://shop.localhost:14443/')).stdout).toBe('the app')
      const status = await rootling.must(['daemon', 'status'])
      expect(status.stdout).toContain(
        `proxy         https://localhost:14443\n              ${reason}\n`,
      )
      expect(status.stdout).toContain('End that program, then: rootling daemon restart')
      expect((await rootling.must(['proxy', 'list'])).stderr).toContain('at 14443')
    })
  },
)
