import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { noPorts, openDaemonHome } from '../daemon/daemon-home.ts'
import { command, project as repository } from '../helpers/built.ts'
import { freePort } from '../helpers/free-port.ts'
import { scrubbedEnvironment } from '../helpers/scrubbed.ts'
import { killGroup, start, waitFor } from '../helpers/subprocess.ts'

/** An app that says what it was given, and ends by a signal or when it is asked for /end. */
const app = `
const { createServer } = require('node:http')
const port = process.argv.includes('--port') ? Number(process.argv.at(process.argv.indexOf('--port') + 1)) : Number(process.env.PORT)
createServer((request, response) => {
  response.end(JSON.stringify({ port: process.env.PORT, host: request.headers.host, ca: process.env.NODE_EXTRA_CA_CERTS !== undefined, words: process.argv.slice(2) }) + '\\n')
  if (request.url === '/end') process.exit(7)
}).listen(port, '::1')
process.on('SIGTERM', () => process.exit(9))
`

async function openRunHome() {
  const home = await openDaemonHome()
  const port = await freePort()
  await home.daemon(['start', ...noPorts, `--proxy-port=${port}`])
  const project = join(home.directory, 'shop')
  mkdirSync(join(project, '.git'), { recursive: true })
  writeFileSync(join(project, 'app.js'), app)
  const root = join(home.state, 'scopes/local/root.pem')
  const curl = (url: string) => home.run('curl', ['-sS', '--max-time', '60', '--cacert', root, url])
  /** Starts \`rootling run\` and waits until it says its URL. */
  async function runs(...args: readonly string[]) {
    const env = scrubbedEnvironment(home.directory, { ROOTLING_HOME: home.state })
    const words = [`--chdir=${project}`, process.execPath, command, 'run', ...args]
    const program = start('env', words, env)
    onTestFinished(() => killGroup(program))
    const said = { stdout: '', stderr: '' }
    for (const name of ['stdout', 'stderr'] as const)
      program[name].setEncoding('utf8').on('data', (text: string) => (said[name] += text))
    const end = new Promise<number | string | null>((resolve) =>
      program.once('close', (code, signal) => resolve(code ?? signal)),
    )
    const url = await waitFor('the URL', () => {
      if (program.exitCode !== null) throw new Error(said.stderr)
      return /^(https:\S+) leads to http:\/\/localhost:\d+ now\.$/m.exec(said.stderr)?.[1] ?? null
    })
    return { program, said, end, url }
  }
  const routes = async () => (await home.json(['proxy', 'list'])).value['routes'] as unknown[]
  return { ...home, port, project, curl, runs, routes }
}

test('a command is reached by its name while it runs, and ends as it does', async () => {
  const { runs, curl, port, routes, rootling } = await openRunHome()
  const { url, end, said } = await runs('--name', 'api', '--', 'node', 'app.js', '--flag')
  expect(url).toBe(`https://api.shop.localhost:${port}/`)
  const answer = JSON.parse((await curl(url)).stdout) as { port: string }
  expect(answer).toMatchObject({ host: `api.shop.localhost:${port}`, ca: true, words: ['--flag'] })
  expect(Number(answer.port)).toBeGreaterThanOrEqual(4000)
  expect(said.stdout).toBe('')
  // The same name is not given to another command, which is not started.
  const again = await rootling(['run', '--name', 'api.shop.localhost', '--', 'touch', 'started'])
  expect(again).toMatchObject({ exitCode: 1, stdout: '' })
  expect(again.stderr).toContain(
    `api.shop.localhost already leads to http://localhost:${answer.port}, by a command (pid `,
  )
  expect((await rootling(['proxy', 'remove', 'api.shop.localhost'])).stderr).toContain(
    'ends with that command',
  )
  await curl(`${url}end`)
  expect(await end).toBe(7)
  expect(await routes()).toEqual([])
})

test('the option of a dev server follows what the script of package.json runs', async () => {
  const { runs, curl, project } = await openRunHome()
  mkdirSync(join(project, 'node_modules/.bin'), { recursive: true })
  writeFileSync(join(project, 'node_modules/.bin/vite'), `#!/usr/bin/env node\n${app}`, {
    mode: 0o755,
  })
  const scripts = { dev: 'vite --host' }
  writeFileSync(join(project, 'package.json'), JSON.stringify({ name: 'shop', scripts }))
  const { url } = await runs('--name=shop', 'npm', 'run', 'dev')
  expect(url).toMatch(/^https:\/\/shop\.localhost:/)
  const { words, port } = JSON.parse((await curl(url)).stdout) as { words: string[]; port: string }
  expect(words).toEqual(['--host', '--port', port, '--strictPort'])
})

test('Vite itself serves at the port that it is given, and knows the name', async () => {
  const { runs, curl, project, port } = await openRunHome()
  writeFileSync(join(project, 'index.html'), '<title>the page of Vite</title>')
  const vite = join(repository, 'node_modules/.bin/vite')
  const { url } = await runs('--name=web', vite, '--clearScreen=false')
  expect(url).toBe(`https://web.shop.localhost:${port}/`)
  expect((await curl(url)).stdout).toContain('the page of Vite')
})

test('where the command does not listen at its port, the URL is said all the same', async () => {
  const { project, port, directory, state } = await openRunHome()
  const env = scrubbedEnvironment(directory, { ROOTLING_HOME: state })
  const words = [`--chdir=${project}`, process.execPath, command, 'run', '--name', 'idle', '--']
  const program = start('env', [...words, 'sleep', '600'], env)
  onTestFinished(() => killGroup(program))
  let said = ''
  program.stderr.setEncoding('utf8').on('data', (text: string) => (said += text))
  const warning = await waitFor('the warning', () => /^Warning: .*\n/m.exec(said)?.[0] ?? null)
  expect(warning).toContain('Nothing listens at port ')
  expect(warning).toContain(`Once it listens: https://idle.shop.localhost:${port}/\n`)
})

test('a signal reaches the command, and a kill leaves no route', async () => {
  const { runs, routes } = await openRunHome()
  const first = await runs('--name', 'one', '--', 'node', 'app.js')
  first.program.kill('SIGTERM')
  expect(await first.end).toBe(9)
  expect(await routes()).toEqual([])
  const second = await runs('--name', 'two', '--', 'node', 'app.js')
  expect(await routes()).toHaveLength(1)
  second.program.kill('SIGKILL')
  await waitFor('the end of the route', async () => ((await routes()).length === 0 ? true : null))
  killGroup(second.program)
})
