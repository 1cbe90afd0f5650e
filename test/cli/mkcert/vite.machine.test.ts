import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'
import { describe, expect, onTestFinished, test } from 'vitest'
import { builtPrograms } from '../../helpers/built.ts'
import { namespaceUnavailable } from '../../helpers/namespace.ts'
import { testNamespace } from '../../helpers/test-namespace.ts'
import { killGroup, waitFor } from '../../helpers/subprocess.ts'

const reason = namespaceUnavailable()
const require = createRequire(import.meta.url)
const plugin = pathToFileURL(require.resolve('vite-plugin-mkcert').replace('.cjs', '.mjs')).href
const vite = pathToFileURL(require.resolve('vite')).href

/** A Vite server with the plugin, on addresses that do not depend on this machine's networks. */
const script = `
import os from 'node:os'
import { createServer } from '${vite}'
import mkcert from '${plugin}'
const [root, mkcertPath, savePath] = process.argv.slice(2)
os.networkInterfaces = () => ({ lan: [{ family: 'IPv4', address: '192.168.7.9' }] })
const source = { getSourceInfo() { throw new Error('a download was tried') } }
const server = await createServer({
  configFile: false,
  root,
  cacheDir: root + '/cache',
  server: { host: '127.0.0.1', port: 0 },
  plugins: [mkcert({ mkcertPath, savePath, source, hosts: ['shop.localhost'] })],
})
await server.listen()
console.log('listening on ' + server.httpServer.address().port)
`

describe.skipIf(reason !== null)(`vite-plugin-mkcert${reason ? ` (${reason})` : ''}`, () => {
  const built = builtPrograms()

  const starts: readonly { title: string; before: readonly string[] }[] = [
    { title: 'where there is no CA yet', before: [] },
    { title: 'where ours is, which it copies', before: ['-install'] },
  ]
  test.for(starts)('starts a server that curl trusts, $title', async ({ before }) => {
    const namespace = await testNamespace()
    const root = `${namespace.home}/project`
    const savePath = `${namespace.home}/.vite-plugin-mkcert`
    await namespace.writeFile(`${root}/index.html`, '<!doctype html><title>It works</title>')
    await namespace.writeFile(`${root}/serve.mjs`, script)
    if (before.length > 0) await namespace.must(built.mkcert, before)

    const args = [`${root}/serve.mjs`, root, built.mkcert, savePath]
    const server = namespace.spawn(process.execPath, args)
    onTestFinished(() => killGroup(server))
    let said = ''
    for (const stream of [server.stdout, server.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => (said += text))
    server.once('close', () => (said += '\nended'))
    const port = await waitFor('Vite', () => {
      if (said.includes('\nended')) throw new Error(said)
      return /listening on (\d+)/.exec(said)?.[1] ?? null
    })
    const curl = (host: string) => {
      const resolve = ['--resolve', `${host}:${port}:127.0.0.1`]
      return namespace.run('curl', ['-sS', ...resolve, `https://${host}:${port}/`])
    }
    for (const host of ['localhost', '127.0.0.1', 'shop.localhost'])
      expect(await curl(host)).toEqual({
        exitCode: 0,
        stdout: expect.stringContaining('It works'),
        stderr: '',
      })
    const sslFailure = 60
    expect((await curl('other.localhost')).exitCode, 'a name that it is not for').toBe(sslFailure)

    const files = Object.keys(await namespace.readTree(savePath))
    expect(files).toContain(`${savePath}/rootCA.pem`)
    expect(
      files.filter((path) => /\/mkcert(?:\.exe)?$/.test(path)),
      'downloads',
    ).toEqual([])
    await namespace.must(built.mkcert, ['-uninstall'], { env: { CAROOT: savePath } })
    expect((await curl('localhost')).exitCode, 'once its root is gone').toBe(sslFailure)
  })
})
