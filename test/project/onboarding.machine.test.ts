import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { builtPrograms, project } from '../helpers/built.ts'
import { namespaceUnavailable, openNamespace, type Namespace } from '../helpers/namespace.ts'
import { findRoot } from '../helpers/store-contents.ts'
import { killGroup, waitFor } from '../helpers/subprocess.ts'
import { chromiumClient } from '../outside/e2e/client-chromium.ts'
import { firefoxClient } from '../outside/e2e/client-firefox.ts'
import { nodeFetch, toolClients } from '../outside/e2e/client-tools.ts'
import { notInstalled, visit, type Client } from '../outside/e2e/client.ts'

/*
 * A new person in a team: clones the repository, types one line, and the app is trusted. Then a
 * second developer on the same machine with a HOME of their own, and everything taken back.
 */

const app = `
const { readFileSync } = require('node:fs')
const pair = { cert: readFileSync('.certs/shop.pem'), key: readFileSync('.certs/shop-key.pem') }
const server = require('node:https').createServer(pair, (_, answer) => answer.end('The shop'))
server.listen(0, '127.0.0.1', () => console.log(server.address().port))
`
const members = {
  version: 1,
  certificates: [
    {
      names: ['shop.test', 'localhost', '127.0.0.1'],
      cert: '.certs/shop.pem',
      key: '.certs/shop-key.pem',
    },
  ],
  hosts: { 'shop.test': '127.0.0.1' },
  env: { file: '.env.rootling' },
}

const pythonClient = toolClients.find(({ name }) => name === 'python') as Client
const curlClient = toolClients.find(({ name }) => name === 'curl') as Client
const clients = [curlClient, pythonClient, chromiumClient, firefoxClient('team')]
const missing = [
  ...(await Promise.all(clients.map((each) => each.unavailable()))),
  await notInstalled('git'),
]
const obstacle = namespaceUnavailable() ?? missing.find((each) => each !== null) ?? null
const skipNote = obstacle === null ? '' : ` [skipped: ${obstacle}]`

describe.skipIf(obstacle !== null)(`a team${skipNote}`, () => {
  let namespace: Namespace
  let home = ''
  let packed = ''
  let hostsBefore: string | null = null
  let running: ReturnType<Namespace['spawn']>[] = []

  /** Runs a line of the shell in the clone, as the developer with this HOME. */
  const sh = (line: string, who = home) =>
    namespace.run('sh', ['-c', `cd "$1" && ${line}`, 'sh', `${who}/shop`], {
      env: { HOME: who },
      timeout: 600_000,
    })
  const rootling = async (args: string, who = home) => sh(`npx --no-install rootling ${args}`, who)

  async function serve(who = home): Promise<string> {
    const line = ['-c', `cd "$1/shop" && exec "$2" -e "$3"`, 'sh', who, process.execPath, app]
    const server = namespace.spawn('sh', line, { env: { HOME: who } })
    running.push(server)
    let said = ''
    server.stdout.setEncoding('utf8').on('data', (text: string) => (said += text))
    const port = await waitFor('the port of the app', () => Number(said.trim()) || null)
    return `https://shop.test:${port}/`
  }

  async function clone(who: string): Promise<void> {
    await namespace.must(
      'git',
      ['clone', '--quiet', '/tmp/origin', `${who}/shop`].map((word) =>
        word.replace('/tmp/origin', `${home}/origin`),
      ),
      { env: { HOME: who } },
    )
    // What `npm install` puts there in a repository that depends on Rootling, without a registry.
    await namespace.must('sh', [
      '-c',
      'mkdir -p "$1/shop/node_modules" && tar -xzf "$2" -C "$1" && mv "$1/package" "$1/shop/node_modules/rootling" && ln -s "$3" "$1/shop/node_modules/rootling/node_modules" && mkdir "$1/shop/node_modules/.bin" && ln -s ../rootling/dist/cli/rootling.cjs "$1/shop/node_modules/.bin/rootling"',
      'sh',
      who,
      packed,
      join(project, 'node_modules'),
    ])
  }

  beforeAll(async () => {
    builtPrograms()
    const folder = mkdtempSync(join(tmpdir(), 'rootling-pack-'))
    const [{ filename }] = JSON.parse(
      execFileSync('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', folder], {
        cwd: project,
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'ignore'],
      }),
    ) as [{ filename: string }]
    packed = join(folder, filename)
    namespace = await openNamespace({ publicRoots: 'few' })
    home = namespace.home
    hostsBefore = await namespace.readFile('/etc/hosts')
    await namespace.writeFile(`${home}/origin/rootling.json`, JSON.stringify(members, null, 2))
    await namespace.writeFile(`${home}/origin/package.json`, '{"name": "shop", "private": true}')
    await namespace.writeFile(`${home}/origin/.gitignore`, 'node_modules\n')
    const commit =
      'git init -q && git add -A && git -c user.name=a -c user.email=a@a.test commit -qm one'
    await namespace.must('sh', ['-c', `cd "$1" && ${commit}`, 'sh', `${home}/origin`])
    await clone(home)
  })

  afterAll(async () => {
    for (const each of running) killGroup(each)
    running = []
    await namespace?.close()
    if (packed !== '') rmSync(join(packed, '..'), { recursive: true, force: true })
  })

  test('clones, types one line, and every client trusts the app', async () => {
    const up = await rootling('up --yes')
    expect(`${up.exitCode} ${up.stdout}${up.stderr}`).toMatch(/^0 /)
    const url = await serve()
    for (const client of clients) {
      const [verdict] = await visit(client, namespace, [url])
      expect([client.name, verdict]).toEqual([
        client.name,
        { trusted: true, body: expect.stringContaining('The shop') as string },
      ])
    }
    // A Node child trusts by the file of variables, and by `run`.
    const child = ['-e', nodeFetch, url]
      .map((word) => `'${word.replaceAll("'", `'\\''`)}'`)
      .join(' ')
    expect(await sh(`node ${child}`)).toMatchObject({ exitCode: 60 })
    expect(await sh(`set -a && . ./.env.rootling && node ${child}`)).toMatchObject({
      exitCode: 0,
      stdout: 'The shop',
    })
    expect(await rootling(`run -- node ${child}`)).toMatchObject({
      exitCode: 0,
      stdout: 'The shop',
    })
    // Nothing that belongs to one person can be committed.
    expect((await sh('git status --porcelain')).stdout).toBe(' M .gitignore\n')
    expect(await rootling('up --check')).toMatchObject({ exitCode: 0 })
  })

  test('shares the first root with a second developer', async () => {
    const root = await rootling('ca export')
    expect(root.exitCode).toBe(0)
    const { stdout: print } = await sh(
      `printf '%s' "$ROOT" | openssl x509 -noout -fingerprint -sha256`.replace(
        '"$ROOT"',
        `"${root.stdout}"`,
      ),
    )
    const fingerprint = print.replace(/^.*=/, '').trim()
    await namespace.writeFile(`${home}/shop/certs/ada.pem`, root.stdout)
    await namespace.writeFile(
      `${home}/shop/rootling.json`,
      JSON.stringify({ ...members, trust: [{ root: 'certs/ada.pem', fingerprint }] }, null, 2),
    )
    // To the first developer it is her own root.
    const own = await rootling('up --yes')
    expect(own).toMatchObject({ exitCode: 0 })
    expect(own.stdout).toContain('It is the own root.')
    await sh(
      'git add -A && git -c user.name=a -c user.email=a@a.test commit -qm two && git push -q origin HEAD:refs/heads/team',
    )
    await namespace.must('sh', ['-c', `cd "$1" && git checkout -q team`, 'sh', `${home}/origin`])

    const second = `${home}/second`
    await namespace.must('mkdir', [second])
    await clone(second)
    const stopped = await rootling('up --yes', second)
    expect(stopped).toMatchObject({ exitCode: 6 })
    expect(stopped.stderr).toContain('rootling up --allow trust')
    const up = await rootling('up --yes --allow trust', second)
    expect(`${up.exitCode} ${up.stdout}${up.stderr}`).toMatch(/^0 /)
    const urls = [await serve(), await serve(second)]
    const verdicts = await visit(curlClient, namespace, urls)
    expect(verdicts.map(({ trusted }) => trusted)).toEqual([true, true])
  })

  test('takes everything back', async () => {
    const second = `${home}/second`
    for (const who of [second, home]) {
      const down = await rootling('down --files --yes', who)
      expect(`${down.exitCode} ${down.stdout}${down.stderr}`).toMatch(/^0 /)
    }
    const roots = [await rootling('ca export'), await rootling('ca export', second)]
    for (const who of [second, home]) {
      const gone = await rootling('uninstall --delete-ca --yes', who)
      expect(`${gone.exitCode} ${gone.stdout}${gone.stderr}`).toMatch(/^0 /)
    }
    for (const { stdout } of roots) {
      const places = await findRoot(namespace, stdout)
      // The team keeps the first root in its repository.
      expect(places.filter((place) => !place.endsWith('/certs/ada.pem'))).toEqual([])
    }
    expect(await namespace.readFile('/etc/hosts')).toBe(hostsBefore)
    for (const who of [second, home]) {
      const left = await sh('ls -A .certs .env.rootling; ls -A ../.local/share/rootling', who)
      // Programs that `run` started may still read its bundle, which holds the system's roots now.
      expect(left.stdout).toBe(who === home ? 'bundles\n' : '')
    }
  })
})
