import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { command } from '../helpers/built.ts'
import { openHome, type Home } from '../helpers/home.ts'
import { cloneOf, shop } from './team.ts'

test('runs the approved command when a certificate is replaced, in the directory', async () => {
  const withHook = (days: number) => ({
    certificates: [{ ...shop.certificates[0], days, onRenew: 'pwd >> renewed' }],
  })
  const clone = await cloneOf(withHook(90))
  await clone.up({ allow: 'run' })
  expect(existsSync(join(clone.directory, 'renewed'))).toBe(false)
  clone.file(withHook(91))
  expect((await clone.up()).stopped).toBe(false)
  expect(readFileSync(join(clone.directory, 'renewed'), 'utf8')).toBe(`${clone.directory}\n`)
})

describe('the command', () => {
  const inStores = ['--stores', 'none']
  const open = (members: object): Home => {
    const home = openHome()
    mkdirSync(join(home.directory, '.project/.git'), { recursive: true })
    writeFileSync(
      join(home.directory, '.project/rootling.json'),
      JSON.stringify({ version: 1, ...members }),
    )
    return home
  }
  /** Runs `rootling` in the directory of the project. */
  const inside = (home: Home, args: readonly string[]) =>
    home.run('env', [
      `--chdir=${home.directory}/.project`,
      `ROOTLING_HOME=${home.directory}/state`,
      process.execPath,
      command,
      ...args,
    ])

  test('says by its exit code how the machine stands', async () => {
    const home = open(shop)
    expect(await inside(home, ['up', '--check', ...inStores])).toMatchObject({ exitCode: 4 })
    expect(await inside(home, ['up', '--dry-run', ...inStores])).toMatchObject({ exitCode: 0 })
    expect(existsSync(join(home.directory, 'state'))).toBe(false)
    const up = await inside(home, ['up', '--yes', ...inStores])
    expect(up).toMatchObject({ exitCode: 0 })
    expect(up.stdout).toContain('certificate  .certs/shop.pem')
    expect(await inside(home, ['up', '--check', ...inStores])).toMatchObject({ exitCode: 0 })
    const { stdout } = await inside(home, ['up', '--json', ...inStores])
    expect(JSON.parse(stdout)).toMatchObject({
      ok: true,
      planOnly: false,
      steps: [{ outcome: 'unchanged' }, { outcome: 'unchanged' }, { outcome: 'unchanged' }],
      approvals: [],
    })
    expect(await inside(home, ['down', '--files', '--stores', 'nss'])).toMatchObject({
      exitCode: 0,
    })
    expect(existsSync(join(home.directory, '.project/.certs'))).toBe(false)
    expect(await inside(home, ['down'])).toMatchObject({ exitCode: 0, stdout: '' })
    expect(await home.rootling(['down'])).toMatchObject({ exitCode: 2 })
  })

  test('says the same each time of a key that Git tracks already', async () => {
    const home = open(shop)
    const { directory } = home
    const git = async (...args: string[]): Promise<void> => {
      const done = await home.run('git', ['-C', `${directory}/.project`, ...args])
      expect(done.exitCode, done.stderr).toBe(0)
    }
    await git('init', '-q')
    mkdirSync(join(directory, '.project/.certs'))
    writeFileSync(join(directory, '.project/.certs/shop-key.pem'), 'old')
    await git('add', '.certs/shop-key.pem')
    rmSync(join(directory, '.project/.certs/shop-key.pem'))
    const up = async (...args: string[]) => {
      const { stdout, stderr, exitCode } = await inside(home, ['up', '--yes', ...args, ...inStores])
      return { stdout, stderr, exitCode }
    }
    const failed = async () => {
      const { stdout, exitCode } = await up('--json')
      const { ok, steps } = JSON.parse(stdout) as { ok: boolean; steps: { outcome: string }[] }
      return { ok, exitCode, failed: steps.filter(({ outcome }) => outcome === 'failed') }
    }
    const sentence = 'Git tracks .certs/shop-key.pem already'
    const first = await failed()
    expect(first).toMatchObject({
      ok: true,
      exitCode: 3,
      failed: [
        {
          code: 'ignore',
          subject: '.certs/shop-key.pem',
          detail: expect.stringContaining(sentence),
        },
        { code: 'certificate', detail: expect.stringContaining(sentence) },
      ],
    })
    expect(await failed()).toEqual(first)
    const shown = await up()
    expect(shown.exitCode).toBe(3)
    expect(shown.stdout).toContain(sentence)
    expect(await up()).toEqual(shown)
    // The certificate is good already, and its key still tracked.
    await git('rm', '-q', '--cached', '-f', '.certs/shop-key.pem')
    expect(await up()).toMatchObject({ exitCode: 0 })
    await git('add', '-f', '.certs/shop-key.pem')
    const again = await up()
    expect(again).toMatchObject({ exitCode: 3, stdout: expect.stringContaining(sentence) })
    expect(await up()).toEqual(again)
    expect((await failed()).failed).toMatchObject([first.failed[0]])
  })

  test('prints all faults of the file, each with its place, and changes nothing', async () => {
    const home = open({ permit: ['com'], day: 1 })
    const { exitCode, stderr } = await inside(home, ['up', ...inStores])
    expect(exitCode).toBe(2)
    expect(stderr).toMatch(/rootling\.json has 2 faults, so nothing was changed\./)
    expect(stderr).toMatch(/rootling\.json:1:24 permit\[0\]: "com" is not right: com is a whole/)
    const json = await inside(home, ['up', '--json', ...inStores])
    expect(JSON.parse(json.stdout)).toMatchObject({
      ok: false,
      error: {
        code: 'bad-project',
        faults: [{ line: 1, column: 24, key: 'permit[0]' }, { key: 'day' }],
      },
    })
    expect(existsSync(join(home.directory, 'state'))).toBe(false)
  })

  test('exits with 6 where nobody can approve, and says what to type', async () => {
    const home = open({ permit: ['dev.example.com'] })
    const { exitCode, stderr } = await inside(home, ['up', '--yes', ...inStores])
    expect(exitCode).toBe(6)
    expect(stderr).toContain("permit: let this machine's authority sign dev.example.com")
    expect(stderr).toContain('rootling up --allow permit')
    const json = await inside(home, ['up', '--json', ...inStores])
    expect(json.exitCode).toBe(6)
    expect(JSON.parse(json.stdout)).toMatchObject({
      ok: false,
      error: { code: 'approval-needed' },
      approvals: [{ kind: 'permit' }],
    })
    expect(existsSync(join(home.directory, 'state'))).toBe(false)
    const allowed = await inside(home, ['up', '--yes', '--allow=permit', ...inStores])
    expect(allowed).toMatchObject({ exitCode: 0 })
    expect(await inside(home, ['up', '--allow=sudo'])).toMatchObject({ exitCode: 2 })
  })

  const hasStrace = spawnSync('strace', ['-V']).status === 0
  test.skipIf(!hasStrace)('opens no file to write in its second run', async () => {
    const home = open({ ...shop, permit: ['dev.example.com'] })
    const line = ['up', '--yes', '--allow=permit', ...inStores]
    await inside(home, line)
    const calls = join(home.directory, 'calls')
    const traced = await home.run('strace', [
      '-f',
      '-qq',
      '-o',
      calls,
      '-e',
      'trace=%file,ftruncate,fchmod',
      'env',
      `--chdir=${home.directory}/.project`,
      `ROOTLING_HOME=${home.directory}/state`,
      process.execPath,
      command,
      'up',
    ])
    expect(traced).toMatchObject({ exitCode: 0 })
    const changing =
      /O_WRONLY|O_RDWR|O_CREAT|O_TRUNC|\b(?:rename|unlink|mkdir|rmdir|link|chmod|chown|truncate|utime|mknod)/
    const changed = readFileSync(calls, 'utf8')
      .split('\n')
      .filter(
        (call) =>
          changing.test(call) && !call.includes('/dev/') && !call.includes('/chunks/compiled'),
      )
    expect(changed).toEqual([])
    expect(readFileSync(calls, 'utf8')).not.toMatch(/execve\([^)]*sudo/)
  })

  test('writes the file where nobody can be asked only with --yes', async () => {
    const home = openHome()
    const refused = await home.rootling(['init'])
    expect(refused).toMatchObject({ exitCode: 2 })
    expect(refused.stderr).toContain('rootling init --yes')
    expect(existsSync(join(home.directory, 'rootling.json'))).toBe(false)
    mkdirSync(join(home.directory, 'app'))
    const line = (...args: string[]) =>
      home.run('env', [`--chdir=${home.directory}/app`, process.execPath, command, ...args])
    const { exitCode, stdout } = await line('init', '--yes')
    expect(exitCode).toBe(0)
    expect(readFileSync(join(home.directory, 'app/rootling.json'), 'utf8')).toBe(stdout)
    expect(await line('init', '--yes')).toMatchObject({ exitCode: 2 })
  })

  test('prints the schema', async () => {
    const home = open({})
    const { stdout } = await inside(home, ['schema'])
    expect(JSON.parse(stdout)).toMatchObject({ title: 'rootling.json', type: 'object' })
  })
})
