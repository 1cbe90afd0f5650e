import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { project } from '../helpers/built.ts'
import { namespaceUnavailable, openNamespace } from '../helpers/namespace.ts'
import type { Namespace } from '../helpers/namespace.ts'
import { rootlingIn } from '../helpers/rootling.ts'
import type { Rootling } from '../helpers/rootling.ts'
import { buildStandalone, standalone } from '../helpers/standalone.ts'
import { temporaryDirectory } from '../helpers/temporary.ts'

// The single executable on a machine that has no Node: the project is hidden there, and so is every
// program `node`.

const noNamespace = namespaceUnavailable()
const skipNote = noNamespace === null ? '' : ` [skipped: ${noNamespace}]`
const { version } = JSON.parse(readFileSync(join(project, 'package.json'), 'utf8')) as {
  version: string
}

/** Copies the executable into the namespace, adds the link for mkcert, and hides Node. */
async function settle(namespace: Namespace): Promise<string> {
  const directory = `${namespace.home}/programs`
  const script = `set -eu
    mkdir "$1"
    cp "$2" "$1/rootling"
    ln -s rootling "$1/rootling-mkcert"
    mount -t tmpfs tmpfs "$3"
    : > "$1/nothing"
    IFS=:
    for directory in $PATH; do
      for name in node nodejs npm npx; do
        [ ! -e "$directory/$name" ] || mount --bind "$1/nothing" "$(readlink -f "$directory/$name")"
      done
    done`
  await namespace.must('sh', ['-c', script, 'sh', directory, await standalone(), project])
  return directory
}

describe.skipIf(noNamespace !== null)(`the executable without Node${skipNote}`, () => {
  let namespace: Namespace
  let directory: string
  let program: string
  let rootling: Rootling

  beforeAll(async () => {
    namespace = await openNamespace({ ownLoopback: true })
    directory = await settle(namespace)
    program = `${directory}/rootling`
    rootling = rootlingIn(namespace, program, [])
  })
  afterAll(() => namespace.close())

  const shell = (script: string, ...args: string[]) =>
    namespace.run('sh', ['-c', script, 'sh', ...args])

  /** Issues for a name, into the home. */
  const issue = (name: string, ...args: string[]) =>
    rootling.must(['issue', name, '--out-dir', namespace.home, ...args])

  const curl = async (url: string) =>
    (await namespace.run('curl', ['--silent', '--output', '/dev/null', url])).exitCode

  test('finds no Node there', async () => {
    expect((await shell('node --version')).exitCode).not.toBe(0)
    expect(await namespace.readFile(join(project, 'package.json'))).toBeNull()
    expect((await rootling.must(['--version'])).stdout).toBe(`${version}\n`)
    expect((await rootling.must(['--help'])).stdout).toContain('rootling install')
    expect(JSON.parse((await rootling.must(['schema'])).stdout)).toHaveProperty('$schema')
  })

  test('does the main job: install, issue, serve, uninstall', async () => {
    const serving = await rootling.serve(['--port=0'])
    onTestFinished(() => serving.close())
    expect(await curl(serving.url)).toBe(60)
    await rootling.must(['install'])
    expect(await curl(serving.url)).toBe(0)
    const { answer } = await rootling.json(['status'])
    expect(answer.stores?.filter(({ outcome }) => outcome === 'failed')).toEqual([])
    const files = `${namespace.home}/issued`
    await rootling.must(['issue', 'app.localhost', '127.0.0.1', '--out-dir', files])
    const verified = ['verify', '-untrusted', `${files}/app.localhost+1.pem`]
    await namespace.must('openssl', [...verified, `${files}/app.localhost+1.pem`])
    await rootling.must(['uninstall'])
    expect(await curl(serving.url)).toBe(60)
  })

  test('starts itself as the daemon, which answers and renews', async () => {
    const marker = `${namespace.home}/renewed`
    await issue('renewed.localhost', '--on-renew', `touch ${marker}`)
    await rootling.must(['daemon', 'start'])
    onTestFinished(async () => void (await rootling.run(['daemon', 'stop'])))
    const { stdout } = await rootling.must(['daemon', 'status', '--json'])
    const { pid } = JSON.parse(stdout) as { pid: number }
    const line = (await namespace.must('cat', [`/proc/${pid}/cmdline`])).stdout.split('\0')
    expect(line).toEqual([program, 'daemon', 'run', ''])
    expect((await shell('readlink "/proc/$1/exe"', String(pid))).stdout).toBe(`${program}\n`)
    expect(await curl('http://localhost:14680/')).toBe(0)
    await rootling.must(['renew', 'renewed.localhost'])
    expect(await namespace.readFile(marker)).toBe('')
    await rootling.must(['daemon', 'restart'])
    await rootling.must(['daemon', 'stop'])
    expect((await rootling.run(['daemon', 'status'])).exitCode).toBe(1)
  })

  test('names itself alone in the unit of the daemon', async () => {
    await rootling.run(['daemon', 'install'])
    const path = `${namespace.home}/.config/systemd/user/rootling.service`
    expect(await namespace.readFile(path)).toContain(`\nExecStart=${program} daemon run --quiet\n`)
    await rootling.run(['daemon', 'uninstall'])
    expect(await namespace.readFile(path)).toBeNull()
  })

  test('is rootling-mkcert by that name, and by mkcert’s own', async () => {
    const { stdout } = await namespace.must(`${directory}/rootling-mkcert`, ['-CAROOT'])
    expect(stdout.trim()).toBe(`${namespace.home}/.local/share/rootling`)
    const script =
      'cd "$1" && PATH=$1:$PATH rootling-mkcert -cert-file a.pem -key-file b.pem a.test'
    expect((await shell(script, directory)).exitCode).toBe(0)
    expect(await namespace.readFile(`${directory}/a.pem`)).toContain('BEGIN CERTIFICATE')
    // As docs/mkcert.md links it for programs that call mkcert.
    const linked = 'ln -s "$1/rootling-mkcert" "$1/mkcert" && PATH=$1:$PATH mkcert -CAROOT'
    expect((await shell(linked, directory)).stdout).toBe(stdout)
  })

  test('runs commands with variables that name the roots', async () => {
    const script = 'openssl verify -CAfile "$SSL_CERT_FILE" "$1"'
    const root = `${namespace.home}/.local/share/rootling/scopes/local/root.pem`
    const { stdout } = await rootling.must(['run', '--', 'sh', '-c', script, 'sh', root])
    expect(stdout).toContain(': OK')
  })

  test('holds the driver of PostgreSQL, which is no bundle of the npm package', async () => {
    const passphrase = `${namespace.home}/passphrase`
    await shell('umask 077 && echo a-passphrase-of-some-length > "$1"', passphrase)
    const env = { ROOTLING_DATABASE: 'postgres://nobody@127.0.0.1:1/none' }
    const args = ['--permit', 'team.internal', '--passphrase-file', passphrase]
    const { stderr } = await rootling.run(['server', 'init', ...args], { env })
    expect(stderr).toContain('connect ECONNREFUSED 127.0.0.1:1')
  })

  test('obeys no option for Node, by the environment or the command line', async () => {
    const planted = `${namespace.home}/planted.js`
    await namespace.writeFile(planted, 'require("fs").writeSync(1, "planted\\n")')
    const env = { NODE_OPTIONS: `--require ${planted} --unknown-option` }
    expect((await rootling.must(['--version'], { env })).stdout).toBe(`${version}\n`)
    expect((await rootling.run([`--require=${planted}`, 'list'])).stdout).not.toContain('planted')
    expect((await rootling.run(['--eval', '1'])).exitCode).toBe(2)
  })

  test('loads no code that a configuration of OpenSSL names', async () => {
    const file = `${namespace.home}/openssl.cnf`
    const lines =
      'nodejs_conf = a\n[a]\nproviders = b\n[b]\nc = d\n[d]\nmodule = /absent\nactivate = 1\n'
    await namespace.writeFile(file, lines)
    const env = { OPENSSL_CONF: file }
    expect((await rootling.must(['--version'], { env })).stdout).toBe(`${version}\n`)
  })

  test('loads no package that lies near it', async () => {
    const packages = ['programs/node_modules', '.node_modules', 'elsewhere']
    const text = 'require("fs").writeSync(1, "planted\\n")'
    for (const folder of packages)
      for (const name of ['fs-native-extensions/binding.js', 'pg/index.js', 'send/index.js'])
        await namespace.writeFile(`${namespace.home}/${folder}/${name}`, text)
    const env = { NODE_PATH: `${namespace.home}/elsewhere` }
    const { stdout } = await rootling.must(
      ['issue', 'near.localhost', '--out-dir', namespace.home],
      { env },
    )
    expect(stdout).not.toContain('planted')
  })

  /** The system calls of `rootling issue` by which it locks, and loads what locks. */
  async function locking(): Promise<string> {
    const traced = ['-f', '-e', 'trace=openat,fcntl,mmap', '-o', `${namespace.home}/trace`, program]
    await namespace.must('strace', [
      ...traced,
      'issue',
      'lock.localhost',
      '--out-dir',
      namespace.home,
    ])
    const lines = (await namespace.readFile(`${namespace.home}/trace`)) ?? ''
    return lines
      .split('\n')
      .filter((line) => /SETLK|TMPFILE|\/self\/fd\//.test(line))
      .join('\n')
  }

  test('says how to update itself, and not the package of npm', async () => {
    const { stderr, exitCode } = await shell(
      `mkdir "$HOME/newer" && echo 9 > "$HOME/newer/version" &&
        ROOTLING_HOME="$HOME/newer" "$1" list`,
      program,
    )
    expect(exitCode).toBe(1)
    expect(stderr).toContain(`by the package that installed ${program}, or put the executable`)
    expect(stderr).not.toContain('npm')
  })

  test('locks by the add-on, from a file without a name', async () => {
    const calls = await locking()
    expect(calls).toContain('O_RDWR|O_CLOEXEC|O_TMPFILE, 0600')
    expect(calls).toContain('F_OFD_SETLK')
  })

  test('locks by SQLite where no directory lets it load the add-on', async () => {
    // As flags of the mounts in this namespace alone.
    const mounts = (flag: string) =>
      shell(`set -e
        for directory in /dev/shm /tmp /var/tmp; do
          mountpoint -q "$directory" || mount --bind "$directory" "$directory"
          mount -o remount,bind,${flag} "$directory"
        done`)
    expect((await mounts('noexec')).exitCode).toBe(0)
    onTestFinished(async () => void (await mounts('exec')))
    const calls = await locking()
    expect(calls.match(/O_TMPFILE/g)).toHaveLength(3)
    expect(calls).not.toContain('F_OFD_SETLK')
    expect(calls).toContain('F_SETLK')
    await issue('noexec.localhost')
  })

  test('keeps a second command out while one has the lock', async () => {
    await issue('first.localhost')
    const both = Array.from({ length: 4 }, (_, i) => issue(`n${i}.localhost`))
    await Promise.all(both)
    const { answer } = await rootling.json(['list'])
    const names = answer.certificates?.flatMap((each) => each.names) ?? []
    for (const i of [0, 1, 2, 3]) expect(names).toContain(`n${i}.localhost`)
  })

  test('is what the daemon runs when its file is replaced', async () => {
    await rootling.must(['daemon', 'start'])
    onTestFinished(async () => void (await rootling.run(['daemon', 'stop'])))
    await namespace.must('sh', ['-c', 'cp "$1" "$1.new" && mv "$1.new" "$1"', 'sh', program])
    await rootling.must(['daemon', 'status'])
    await rootling.must(['daemon', 'restart'])
    const { pid } = JSON.parse((await rootling.must(['daemon', 'status', '--json'])).stdout) as {
      pid: number
    }
    expect((await shell('readlink "/proc/$1/exe"', String(pid))).stdout).toBe(`${program}\n`)
  })

  test('is the same octets when it is built again', async () => {
    const again = buildStandalone(await temporaryDirectory())
    expect(readFileSync(again).equals(readFileSync(await standalone()))).toBe(true)
  })
})
