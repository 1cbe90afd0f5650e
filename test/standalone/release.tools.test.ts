import { chmodSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { systemdService } from '../../src/daemon/service/units.ts'
import { project } from '../helpers/built.ts'
import { scrubbedEnvironment } from '../helpers/scrubbed.ts'
import { run } from '../helpers/subprocess.ts'
import { temporaryDirectory } from '../helpers/temporary.ts'
import { runTool } from '../helpers/tools.ts'
import { notInstalled } from '../outside/e2e/client.ts'

// What `npm run release` writes, from files that only stand for the executables. The packages with
// the executable itself are tested in packages.machine.test.ts.

const targets = [
  'linux-x64',
  'linux-arm64',
  'darwin-x64',
  'darwin-arm64',
  'win32-x64',
  'win32-arm64',
]
const [noDeb, noRpm, noZip] = await Promise.all(['dpkg-deb', 'rpmbuild', 'zip'].map(notInstalled))
const missing = noDeb ?? noRpm ?? noZip ?? null

/** Releases into a new directory. Returns its files by their paths. */
async function release(): Promise<Map<string, Buffer>> {
  const executables = join(await temporaryDirectory(), 'executables')
  mkdirSync(executables)
  for (const target of targets) {
    const file = join(executables, `rootling-${target}${target.startsWith('win32') ? '.exe' : ''}`)
    writeFileSync(file, `#!/bin/sh\necho ${target}\n`)
    chmodSync(file, 0o755)
    writeFileSync(`${file}.LICENSES.txt`, `licences of ${target}\n`)
  }
  const npm = join(executables, 'npm.tgz')
  writeFileSync(npm, 'the package of npm')
  const out = join(await temporaryDirectory(), 'out')
  const script = join(project, 'scripts/release/release.mjs')
  const args = [script, '--executables', executables, '--npm', npm, '--out', out, '--fast']
  const env = { ...(process.env as Record<string, string>), SOURCE_DATE_EPOCH: '1790000000' }
  const { exitCode, stderr } = await run(process.execPath, args, env)
  if (exitCode !== 0) throw new Error(stderr)
  const entries = readdirSync(out, { recursive: true, withFileTypes: true })
  const files = entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
  return new Map(files.map((path) => [path.slice(out.length + 1), readFileSync(path)]))
}

describe.skipIf(missing !== null)(`the files of a release${missing ?? ''}`, () => {
  let files: Map<string, Buffer>
  let directory: string

  beforeAll(async () => {
    files = await release()
    directory = await temporaryDirectory()
    for (const [path, contents] of files) {
      mkdirSync(join(directory, dirname(path)), { recursive: true })
      writeFileSync(join(directory, path), contents)
    }
  })

  const textOf = (path: string) => String(files.get(path))
  const check = (program: string, ...args: string[]) => runTool(program, args)

  test('are packages, archives, the bill of materials and manifests', () => {
    expect([...files.keys()].toSorted()).toMatchInlineSnapshot(`
      [
        "SHA256SUMS",
        "alpine/APKBUILD",
        "aur/.SRCINFO",
        "aur/PKGBUILD",
        "homebrew/rootling.rb",
        "manifests.tar.gz",
        "nix/flake.nix",
        "rootling-0.1.0-1.aarch64.rpm",
        "rootling-0.1.0-1.x86_64.rpm",
        "rootling-0.1.0-darwin-arm64.tar.gz",
        "rootling-0.1.0-darwin-x64.tar.gz",
        "rootling-0.1.0-linux-arm64.tar.gz",
        "rootling-0.1.0-linux-x64.tar.gz",
        "rootling-0.1.0-win32-arm64.zip",
        "rootling-0.1.0-win32-x64.zip",
        "rootling-0.1.0.cdx.json",
        "rootling-0.1.0.tgz",
        "rootling_0.1.0-1_amd64.deb",
        "rootling_0.1.0-1_arm64.deb",
        "scoop/rootling.json",
        "winget/Rootling.Rootling.installer.yaml",
        "winget/Rootling.Rootling.locale.en-US.yaml",
        "winget/Rootling.Rootling.yaml",
      ]
    `)
  })

  test('are the same octets a second time', async () => {
    const again = await release()
    expect([...again.keys()]).toEqual([...files.keys()])
    const different = [...again].filter(
      ([path, contents]) => files.get(path)?.equals(contents) !== true,
    )
    expect(different.map(([path]) => path)).toEqual([])
  })

  test('have the sums that SHA256SUMS says', async () => {
    const { exitCode } = await check(
      'sh',
      '-c',
      'cd "$1" && sha256sum --check --strict SHA256SUMS',
      'sh',
      directory,
    )
    expect(exitCode).toBe(0)
    const listed = textOf('SHA256SUMS').trimEnd().split('\n')
    expect(listed).toHaveLength(files.size - manifestsOf(files).length - 1)
  })

  test('have the sum of each file that a manifest names after its address', () => {
    const sums = new Map(
      textOf('SHA256SUMS')
        .trimEnd()
        .split('\n')
        .map((line) => [line.slice(66), line.slice(0, 64)]),
    )
    const { repository } = JSON.parse(readFileSync(join(project, 'package.json'), 'utf8')) as {
      repository: { url: string }
    }
    const downloads = `${repository.url.replace(/^git\+|\.git$/g, '')}/releases/download/v`
    const named = (path: string) =>
      [...textOf(path).matchAll(/https:[^\s"')]+\.(?:tar\.gz|zip)(?![^\n]*\$)/g)].map(([url]) => {
        expect(url.startsWith(downloads), url).toBe(true)
        return url.slice(url.lastIndexOf('/') + 1)
      })
    for (const [path, count] of [
      ['homebrew/rootling.rb', 4],
      ['aur/PKGBUILD', 2],
      ['aur/.SRCINFO', 2],
      ['winget/Rootling.Rootling.installer.yaml', 2],
    ] as const) {
      const archives = named(path)
      expect(archives, path).toHaveLength(count)
      const said = [...textOf(path).matchAll(/\b[\da-fA-F]{64}\b/g)].map(([sum]) =>
        sum.toLowerCase(),
      )
      expect(said, path).toEqual(archives.map((name) => sums.get(name)))
    }
    const sri = (name: string) =>
      `sha256-${Buffer.from(sums.get(name) ?? '', 'hex').toString('base64')}`
    for (const name of named('nix/flake.nix'))
      expect(textOf('nix/flake.nix')).toContain(`/${name}";\n          hash = "${sri(name)}";`)
  })

  test('unpack to a program of both names', async () => {
    const script = `cd "$1" && tar -xzf rootling-*-linux-x64.tar.gz && cd rootling-*-linux-x64 && ./rootling && ./rootling-mkcert`
    expect(await check('sh', '-c', script, 'sh', directory)).toMatchObject({
      exitCode: 0,
      stdout: 'linux-x64\nlinux-x64\n',
    })
  })

  test('have a unit like that of `rootling daemon install`', () => {
    const own = String(
      systemdService(
        { program: '/usr/bin/rootling', args: ['daemon', 'run', '--quiet'], home: '/x' },
        '/y',
      ).contents,
    )
    const packaged = readFileSync(join(project, 'scripts/release/rootling.service'), 'utf8')
    expect(packaged).toBe(own.replace(/^Environment=.*\n/m, ''))
  })

  test('have a formula that Ruby parses', async ({ skip }) => {
    skip((await notInstalled('ruby')) !== null, 'there is no ruby')
    expect((await check('ruby', '-wc', join(directory, 'homebrew/rootling.rb'))).stdout).toBe(
      'Syntax OK\n',
    )
  })

  test('have builds for Arch and Alpine that shellcheck finds nothing in', async ({ skip }) => {
    skip((await notInstalled('shellcheck')) !== null, 'there is no shellcheck')
    // Their tools read the variables, and define others.
    const known = '--exclude=SC2034,SC2154'
    for (const [shell, path] of [
      ['bash', 'aur/PKGBUILD'],
      ['dash', 'alpine/APKBUILD'],
    ])
      expect(
        await check(
          'shellcheck',
          `--shell=${shell}`,
          known,
          '--exclude=SC3043',
          join(directory, path ?? ''),
        ),
      ).toMatchObject({ stdout: '', exitCode: 0 })
  })

  test('have a build for Alpine whose files run, with manual, completions and the driver of PostgreSQL', async () => {
    const work = await temporaryDirectory()
    // abuild unpacks the source, and calls package() in builddir.
    const script = `set -eu
      cd "$2"; npm pack --silent --ignore-scripts --pack-destination "$3" >&2
      mkdir "$3/pkg"; cd "$3"; tar -xzf rootling-*.tgz
      srcdir=$3 pkgdir=$3/pkg; . "$1"; cd "$builddir"; package >&2
      cd "$pkgdir"; find usr/bin usr/share -name 'rootling*' | sort`
    const args = ['-c', script, 'sh', join(directory, 'alpine/APKBUILD'), project, work]
    // What npm has in its cache is not asked for again, so that a slow registry does not matter.
    const offline = { ...process.env, npm_config_prefer_offline: 'true' } as Record<string, string>
    const { stdout, stderr } = await run('sh', args, offline)
    expect(stdout.split('\n'), stderr).toEqual(
      expect.arrayContaining([
        'usr/bin/rootling',
        'usr/bin/rootling-mkcert',
        'usr/share/bash-completion/completions/rootling',
        'usr/share/fish/vendor_completions.d/rootling.fish',
        'usr/share/man/man1/rootling.1',
      ]),
    )
    const env = {
      ...scrubbedEnvironment(work, { ROOTLING_HOME: join(work, 'state') }),
      ROOTLING_DATABASE: 'postgres://nobody@127.0.0.1:1/none',
    }
    const passphrase = join(work, 'passphrase')
    writeFileSync(passphrase, 'a passphrase of some length', { mode: 0o600 })
    const line = ['server', 'init', '--permit', 'team.internal', '--passphrase-file', passphrase]
    const said = await run(join(work, 'pkg/usr/bin/rootling'), line, env)
    expect(said.stderr).toContain('connect ECONNREFUSED 127.0.0.1:1')
  })

  test('have a flake that Nix parses', async ({ skip }) => {
    skip((await notInstalled('nix-instantiate')) !== null, 'there is no nix-instantiate')
    const flake = join(directory, 'nix/flake.nix')
    const args = ['nix-instantiate', '--store', 'dummy://', '--parse', flake]
    const { exitCode, stdout } = await check('env', `HOME=${directory}`, ...args)
    expect(stdout).toContain('autoPatchelfHook')
    expect(exitCode).toBe(0)
  })

  test('have manifests for Windows that are JSON and YAML', async () => {
    const scoop = JSON.parse(textOf('scoop/rootling.json')) as { bin: string }
    expect(scoop.bin).toBe('rootling.exe')
    const script = `import sys, yaml
for path in sys.argv[1:]: print(sorted(yaml.safe_load(open(path)))[:3])`
    const paths = [...files.keys()].filter((path) => path.startsWith('winget/'))
    const { stdout } = await check(
      'python3',
      '-c',
      script,
      ...paths.map((path) => join(directory, path)),
    )
    expect(stdout.trim().split('\n')).toHaveLength(3)
  })

  test('have a bill of materials with the Node of the executables', () => {
    const name = [...files.keys()].find((path) => path.endsWith('.cdx.json')) ?? ''
    const { components } = JSON.parse(textOf(name)) as { components: { name: string }[] }
    const names = components.map((each) => each.name)
    expect(names).toContain('node')
    expect(names).toContain('yargs')
    expect(names).not.toContain('vitest')
  })
})

const manifestsOf = (files: ReadonlyMap<string, unknown>): string[] =>
  [...files.keys()].filter((path) => path.includes('/'))
