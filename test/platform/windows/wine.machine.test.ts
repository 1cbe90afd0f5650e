import { createPrivateKey, X509Certificate } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { request } from 'node:https'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { project } from '../../helpers/built.ts'
import { waitFor, type Finished } from '../../helpers/subprocess.ts'
import {
  makePrefix,
  nodesForWindows,
  onZ,
  whyNoWine,
  type Prefix,
  type Wine,
  type WineProgram,
} from '../../helpers/wine/wine.ts'

/*
 * The built commands, as they are, in Node for Windows under Wine. Wine enforces less than Windows
 * (no access lists, no refused renames, no devices with endings): for that see test/files/windows*.
 * Simulators stand for Windows' own programs, which are stubs in Wine.
 */
const reason = whyNoWine()
let prefix: Prefix | undefined
beforeAll(async () => {
  if (reason === null) prefix = await makePrefix()
})
afterAll(() => prefix?.close())

const versions = reason === null ? nodesForWindows() : [`for Windows (skipped: ${reason})`]

describe.skipIf(reason !== null).each(versions)('Node %s', (version) => {
  let wine: Wine
  beforeAll(async () => {
    if (prefix === undefined) throw new Error('Wine has no prefix')
    wine = await prefix.open(version)
  })

  let count = 0
  /** Returns runs with a state directory of their own, which does not exist yet. */
  function place() {
    const name = `${version}-${++count}`
    const home = `C:\\state\\${name}`
    const cwd = `C:\\work\\${name} ü`
    const options = { cwd, env: { ROOTLING_HOME: home } }
    const must = async (...args: string[]): Promise<Finished> => {
      const result = await wine.rootling(args, options)
      expect(result, args.join(' ')).toMatchObject({ exitCode: 0 })
      return result
    }
    const files = join(wine.drive, 'work', `${name} ü`)
    return { home, options, must, files, state: join(wine.drive, 'state', name) }
  }

  const read = (path: string): string => readFileSync(path, 'utf8')

  function expectPair(files: string, base: string): void {
    const certificate = new X509Certificate(read(join(files, `${base}.pem`)))
    expect(
      certificate.checkPrivateKey(createPrivateKey(read(join(files, `${base}-key.pem`)))),
    ).toBe(true)
  }

  test('puts names into the hosts file of Windows, and takes them out again', async () => {
    const { must } = place()
    const file = join(wine.drive, 'windows/system32/drivers/etc/hosts')
    mkdirSync(dirname(file), { recursive: true })
    const base = '# f\u00FCr\r\n127.0.0.1 localhost\r\n'
    writeFileSync(file, base, 'latin1')
    await must('hosts', 'add', 'shop.test')
    expect(readFileSync(file, 'latin1').slice(base.length)).toMatch(
      /^# rootling begin.*\r\n127\.0\.0\.1 shop\.test # \w+ \w+\r\n::1 shop\.test # \w+ \w+\r\n# rootling end\r\n$/,
    )
    const listed = await must('hosts', 'list')
    expect(listed.stdout).toContain('shop.test  you')
    await must('hosts', 'remove', '--all')
    expect(readFileSync(file, 'latin1')).toBe(base)
    expect(readdirSync(dirname(file)).filter((name) => name.includes('rootling'))).toEqual([])
  })

  // What is skipped for other versions takes longest, and Node's version makes no difference to it.
  const isFirst = version === versions[0]
  test.skipIf(!isFirst)(
    'goes through the life of an authority, and runs no planted program',
    async () => {
      const { must, options, state } = place()
      wine.ran()
      await must('install', '--stores', 'system,java')
      expect(JSON.stringify(wine.state('windows')['user'])).toContain('MII')
      await must('status')
      const ran = wine.ran().map((path) => path.toLowerCase())
      expect(ran).toContain('c:\\windows\\system32\\certutil.exe')
      expect(ran.filter((path) => !path.startsWith('c:\\windows\\system32\\'))).toEqual([])
      await must('uninstall', '--yes', '--delete-ca', '--stores', 'system,java')
      expect(wine.state('windows')).toMatchObject({ user: [], machine: [] })
      expect(existsSync(state)).toBe(false)
      expect((await wine.rootling(['ca', 'list', '--json'], options)).stdout).not.toContain('local')
    },
  )

  test('issues, lists, renews and revokes, and restricts each key before it has a name', async () => {
    const { must, files, options } = place()
    await createAuthority(options.env)
    await must('issue', 'localhost', '*.app.localhost', '::1')
    expectPair(files, 'localhost+2')
    const before = read(join(files, 'localhost+2-key.pem'))
    await must('renew', '--all', '--rekey')
    expectPair(files, 'localhost+2')
    expect(read(join(files, 'localhost+2-key.pem'))).not.toBe(before)
    const restricted = Object.keys(wine.state('acl')).filter((path) => path.includes('+2-key.pem'))
    expect(restricted).toHaveLength(2)
    for (const path of restricted) expect(path).toContain('.rootling-tmp-')
    await must('issue', 'nul.localhost')
    expectPair(files, '_nul.localhost')
    expect((await must('list')).stdout).toContain('_nul.localhost.pem')
    await must('revoke', 'nul.localhost')
    await must('crl')
  })

  /** Makes an authority through the library, which trusts it nowhere. */
  async function createAuthority(env: Readonly<Record<string, string>>): Promise<string> {
    const library = `file:///${onZ(join(project, 'dist/library/index.js')).replaceAll('\\', '/')}`
    const script = `const { certificateFor } = await import(${JSON.stringify(library)})
      console.log(JSON.stringify(await certificateFor(['localhost'])))`
    const result = await wine.node(['--input-type=module', '-e', script], { env })
    expect(result).toMatchObject({ exitCode: 0 })
    return result.stdout
  }

  test('the library makes a certificate and returns it again', async () => {
    const { options } = place()
    const [first, second] = [await createAuthority(options.env), await createAuthority(options.env)]
    expect(second).toBe(first)
    const { cert, key } = JSON.parse(first) as { cert: string; key: string }
    expect(new X509Certificate(cert).checkPrivateKey(createPrivateKey(key))).toBe(true)
  })

  test('serves to clients who trust the root, and to no others', async () => {
    const { options, must } = place()
    const { ca } = JSON.parse(await createAuthority(options.env)) as { ca: string }
    const server = wine.start([wine.script, 'serve', '--port=0'], options)
    onTestFinished(server.kill)
    const url = await waitForText(server, /https:\/\/localhost:\d+\//)
    expect(await statusOf(url, ca)).toBe(200)
    await expect(statusOf(url, undefined)).rejects.toThrow(/certificate/)
    expect((await must('get', url, '--json')).exitCode).toBe(0)
  })

  test('the daemon answers at its pipe, and ends when it is told', async () => {
    const { options, must } = place()
    await createAuthority(options.env)
    await must('daemon', 'start')
    onTestFinished(() => void wine.rootling(['daemon', 'stop'], options))
    expect((await must('daemon', 'status', '--json')).stdout).toContain('"running": true')
    await must('issue', 'localhost')
    await must('daemon', 'stop')
    const after = await wine.rootling(['daemon', 'status', '--json'], options)
    expect(after.stdout).toContain('"running": false')
  })

  test.skipIf(!isFirst)(
    'commands at once wait for each other, and killed ones leave a whole record',
    async () => {
      const { options, must, files, state } = place()
      await createAuthority(options.env)
      const names = ['a', 'b', 'c', 'd'].map((name) => `${name}.localhost`)
      const results = await Promise.all(
        names.map((name) => wine.rootling(['issue', name], options)),
      )
      expect(results.map(({ exitCode }) => exitCode)).toEqual([0, 0, 0, 0])
      for (const pause of [100, 400, 900]) {
        const program = wine.start([wine.script, 'renew', '--all', '--rekey'], options)
        await new Promise((resolve) => setTimeout(resolve, pause))
        program.kill()
        await program.finished
      }
      await must('renew', '--all', '--rekey')
      for (const name of names) expectPair(files, name)
      const left = [
        ...readdirSync(files),
        ...readdirSync(state),
        ...readdirSync(join(state, 'pending')),
      ]
      expect(
        left.filter((name) => name !== 'stores.json' && /rootling-tmp|\.json$/.test(name)),
      ).toEqual([])
    },
  )

  test.skipIf(!isFirst)('rootling-mkcert issues, and a path on no drive is refused', async () => {
    const { options, files, home } = place()
    const made = await wine.mkcert(['con.localhost', '127.0.0.1'], {
      ...options,
      env: { CAROOT: home },
    })
    expect(made).toMatchObject({ exitCode: 0 })
    expectPair(files, '_con.localhost+1')
    const refused = await wine.rootling(['list'], { ...options, env: { ROOTLING_HOME: '\\state' } })
    expect(refused).toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining('ROOTLING_HOME must be an absolute path, not \\state.'),
    })
    expect(refused.stderr).toContain('Set ROOTLING_HOME to C:\\state')
  })
})

const waitForText = (program: WineProgram, pattern: RegExp): Promise<string> =>
  waitFor(`${pattern} of a program under Wine`, () => pattern.exec(program.said())?.[0] ?? null)

function statusOf(url: string, ca: string | undefined): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const { port } = new URL(url)
    const options = { host: '127.0.0.1', servername: 'localhost', port, ca, agent: false }
    request(options, (response) => {
      response.resume()
      resolve(response.statusCode)
    })
      .on('error', reject)
      .end()
  })
}
