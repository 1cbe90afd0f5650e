import { copyFileSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { project } from '../helpers/built.ts'
import { namespaceUnavailable, openNamespace } from '../helpers/namespace.ts'
import type { Namespace } from '../helpers/namespace.ts'
import { standalone } from '../helpers/standalone.ts'
import { run } from '../helpers/subprocess.ts'
import { temporaryDirectory } from '../helpers/temporary.ts'
import { runTool } from '../helpers/tools.ts'
import { notInstalled } from '../outside/e2e/client.ts'

// The packages for Linux with the executable itself: the .deb installed, upgraded, removed and purged
// by apt on a private copy of this machine; the .rpm by rpm into a directory of its own.

const needed = ['apt-get', 'dpkg-deb', 'rpmbuild', 'rpm']
const missing = (await Promise.all(needed.map(notInstalled))).find((each) => each !== null)
const noNamespace = namespaceUnavailable()
const obstacle = missing ?? (noNamespace === null ? null : ` [skipped: ${noNamespace}]`)
const { version } = JSON.parse(readFileSync(join(project, 'package.json'), 'utf8')) as {
  version: string
}

/** Writes the packages of this machine's executable. Returns their paths by the ending of each. */
async function release(executables: string, revision: number): Promise<Record<string, string>> {
  const out = join(await temporaryDirectory(), `revision-${revision}`)
  const script = join(project, 'scripts/release/release.mjs')
  const args = ['--executables', executables, '--out', out, '--revision', String(revision)]
  const env = { ...(process.env as Record<string, string>), SOURCE_DATE_EPOCH: '1790000000' }
  const { exitCode, stderr } = await run(process.execPath, [script, ...args, '--fast'], env)
  if (exitCode !== 0) throw new Error(stderr)
  return Object.fromEntries(
    readdirSync(out).map((name) => [name.slice(name.lastIndexOf('.') + 1), join(out, name)]),
  )
}

describe.skipIf(obstacle !== null)(`packages for Linux${obstacle ?? ''}`, () => {
  let namespace: Namespace
  let first: Record<string, string>
  let second: Record<string, string>

  beforeAll(async () => {
    const program = await standalone()
    const executables = join(await temporaryDirectory(), 'executables')
    mkdirSync(executables)
    for (const name of [basename(program), `${basename(program)}.LICENSES.txt`])
      copyFileSync(join(dirname(program), name), join(executables, name))
    first = await release(executables, 1)
    second = await release(executables, 2)
    namespace = await openNamespace({ ownLoopback: true })
    // What packages are installed into, whole; /var/lib is an overlay already.
    const script = `set -e
      for directory in /usr /var/cache; do
        layer=$1/layers$directory
        mkdir -p "$layer/upper" "$layer/work"
        mount -t overlay overlay -o "lowerdir=$directory,upperdir=$layer/upper,workdir=$layer/work" "$directory"
      done
      # apt leaves its privileges for a user who may not read the test's directory.
      echo 'APT::Sandbox::User "root";' > /etc/apt/apt.conf.d/99test`
    await namespace.must('sh', ['-c', script, 'sh', dirname(namespace.home)])
  })
  afterAll(() => namespace.close())

  const sh = (script: string) => namespace.run('sh', ['-c', script])
  const apt = (...args: string[]) =>
    namespace.must('apt-get', ['--quiet', '--yes', '--no-install-recommends', ...args], {
      env: { DEBIAN_FRONTEND: 'noninteractive' },
    })

  test('are installed, upgraded, removed and purged by apt', async () => {
    const before = (await sh('find /usr /etc -xdev -name "*rootling*"')).stdout
    expect(before).toBe('')
    await apt('install', first['deb'] ?? '')
    expect((await sh('dpkg-query -W -f "\\${Status} \\${Version}" rootling')).stdout).toBe(
      `install ok installed ${version}-1`,
    )
    expect((await sh('dpkg --verify rootling')).stdout).toBe('')
    expect((await sh('rootling --version')).stdout).toBe(`${version}\n`)
    expect(
      (await sh('cd && rootling issue deb.localhost && rootling-mkcert -CAROOT')).exitCode,
    ).toBe(0)
    // No daemon was started or enabled.
    expect((await sh('find /etc/systemd -name "*rootling*"')).stdout).toBe('')
    const unit = '/usr/lib/systemd/user/rootling.service'
    expect(await namespace.readFile(unit)).toContain('ExecStart=/usr/bin/rootling daemon run')
    await apt('install', second['deb'] ?? '')
    expect((await sh('dpkg-query -W -f "\\${Version}" rootling')).stdout).toBe(`${version}-2`)
    expect((await sh('cd && rootling list')).stdout).toContain('deb.localhost')
    await apt('remove', 'rootling')
    // Without files of settings, nothing is left to purge.
    expect((await sh('dpkg-query -W rootling')).exitCode).not.toBe(0)
    expect((await sh('find /usr /etc -xdev -name "*rootling*"')).stdout).toBe('')
    await apt('install', second['deb'] ?? '')
    await apt('purge', 'rootling')
    expect((await sh('dpkg-query -W rootling')).exitCode).not.toBe(0)
    expect((await sh('find /usr /etc -xdev -name "*rootling*"')).stdout).toBe('')
    // What belongs to the person stays.
    expect((await sh('ls ~/deb.localhost.pem ~/.local/share/rootling/version')).exitCode).toBe(0)
  })

  test('are a .deb that lintian finds nothing wrong with', async ({ skip }) => {
    skip((await notInstalled('lintian')) !== null, 'there is no lintian')
    const args = ['--allow-root', '--fail-on', 'error,warning', first['deb'] ?? '']
    const { exitCode, stdout } = await runTool('lintian', args)
    expect(stdout).toBe('')
    expect(exitCode).toBe(0)
  })

  test('are an .rpm that rpm installs and erases', async () => {
    // Debian's rpm knows none of Debian's packages, so what the package requires is only listed.
    const rpm = (...args: string[]) =>
      namespace.run('rpm', ['--root', `${namespace.home}/fedora`, ...args])
    await namespace.must('mkdir', ['-p', `${namespace.home}/fedora`])
    const { stdout: requires } = await rpm('-qp', '--requires', first['rpm'] ?? '')
    expect(requires).toContain('libc.so.6(GLIBC_2.28)(64bit)')
    expect(requires).not.toMatch(/GLIBC_2\.(?:29|[3-9]\d)/)
    expect((await rpm('-qp', '--scripts', first['rpm'] ?? '')).stdout).toBe('')
    expect(await rpm('-i', '--nodeps', first['rpm'] ?? '')).toMatchObject({ exitCode: 0 })
    expect((await rpm('-V', '--nodeps', 'rootling')).stdout).toBe('')
    expect(
      (await namespace.must(`${namespace.home}/fedora/usr/bin/rootling`, ['--version'])).stdout,
    ).toBe(`${version}\n`)
    expect(await rpm('-U', '--nodeps', second['rpm'] ?? '')).toMatchObject({ exitCode: 0 })
    expect((await rpm('-q', 'rootling')).stdout).toContain(`rootling-${version}-2.`)
    expect(await rpm('-e', '--nodeps', 'rootling')).toMatchObject({ exitCode: 0 })
    const left = await sh('find ~/fedora/usr -name "*rootling*"')
    expect(left.stdout).toBe('')
  })
})
