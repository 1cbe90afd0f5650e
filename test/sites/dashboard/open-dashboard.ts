import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import { request } from 'node:https'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { onTestFinished } from 'vitest'
import { makePerson } from '../../frameworks/person.ts'
import { builtPrograms } from '../../helpers/built.ts'
import { freePort } from '../../helpers/free-port.ts'
import { run } from '../../helpers/subprocess.ts'

interface Asked {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

/**
 * A person whose daemon serves the dashboard, with a route to an app that counts its requests, and a
 * certificate for app.test in a file.
 */
export async function openDashboard() {
  const person = await makePerson(process.execPath)
  const { root, env, state } = person
  const port = await freePort()
  let count = 0
  const app = createServer((_, response) => {
    count++
    response.setHeader('Set-Cookie', 'session=secret-of-the-app')
    response.setHeader('Content-Type', 'text/html')
    response.end('<!doctype html><title>app</title><h1>app</h1>')
  }).listen(0, '127.0.0.1')
  await once(app, 'listening')
  onTestFinished(() => void app.close())
  const { port: appPort } = app.address() as AddressInfo

  async function rootling(...args: string[]): Promise<Record<string, unknown>> {
    const { exitCode, stdout, stderr } = await run(
      builtPrograms().rootling,
      [...args, '--json'],
      env,
    )
    if (exitCode !== 0) throw new Error(`rootling ${args.join(' ')}: ${stdout}${stderr}`)
    return JSON.parse(stdout) as Record<string, unknown>
  }

  await rootling('issue', 'app.test', '--out-dir', state.path.replace(/state$/, 'certificates'))
  const ports = ['--acme-port', '0', '--revocation-port', '0', '--proxy-port', String(port)]
  await rootling('daemon', 'start', ...ports)
  onTestFinished(async () => void (await rootling('daemon', 'stop')))
  await rootling('proxy', 'add', 'shop', String(appPort))
  const { url } = await rootling('dashboard')
  const token = /#token=(.+)$/.exec(String(url))?.[1] ?? ''

  /** Asks as a program does, which may send whatever it likes. */
  async function ask(path: string, { method = 'GET', headers = {}, body }: Asked = {}) {
    const host = `rootling.localhost:${port}`
    const sent = request({
      ...{ host: '127.0.0.1', port, path, method, ca: root, servername: 'rootling.localhost' },
      headers: { host, ...headers },
    })
    sent.end(body)
    const [response] = (await once(sent, 'response')) as [IncomingMessage]
    return {
      status: response.statusCode ?? 0,
      headers: response.headers,
      body: await text(response),
    }
  }

  return {
    ...{ person, port, token, ask, rootling, url: String(url) },
    shop: `https://shop.localhost:${port}/`,
    count: () => count,
  }
}
