import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { nodeFlags } from '../../src/daemon/garbage.ts'
import { project } from '../helpers/built.ts'
import { run } from '../helpers/subprocess.ts'
import { runTool } from '../helpers/tools.ts'
import { notInstalled } from '../outside/e2e/client.ts'

const [noDpkg, noRpm] = await Promise.all(['dpkg', 'rpm'].map(notInstalled))

/** What versions.mjs returns for each version, as `npm run release` imports it. */
async function versions(call: string, given: readonly string[]): Promise<string[]> {
  const script = `
    const { ${call} } = await import(process.argv[1])
    console.log(JSON.stringify(process.argv.slice(2).map(${call})))`
  const module = join(project, 'scripts/release/versions.mjs')
  const args = ['--input-type=module', '-e', script, module, ...given]
  const { stdout, stderr } = await run(process.execPath, args, process.env as never)
  if (stderr !== '') throw new Error(stderr)
  return JSON.parse(stdout) as string[]
}

/** In their order (Semantic Versioning §11). */
const ordered = [
  '1.2.0-alpha.1',
  '1.2.0-beta.2',
  '1.2.0-rc.1',
  '1.2.0-rc.10',
  '1.2.0',
  '1.2.1-rc.1',
]

test('a version before a release is written as each kind of packages sorts it', async () => {
  expect(await versions('tildeVersion', ordered)).toEqual([
    '1.2.0~alpha.1',
    '1.2.0~beta.2',
    '1.2.0~rc.1',
    '1.2.0~rc.10',
    '1.2.0',
    '1.2.1~rc.1',
  ])
  const arch = '1.2.0alpha.1 1.2.0beta.2 1.2.0rc.1 1.2.0rc.10 1.2.0 1.2.1rc.1'
  expect((await versions('archVersion', ordered)).join(' ')).toBe(arch)
  const alpine = '1.2.0_alpha1 1.2.0_beta2 1.2.0_rc1 1.2.0_rc10 1.2.0 1.2.1_rc1'
  expect((await versions('alpineVersion', ordered)).join(' ')).toBe(alpine)
  expect(await versions('alpineVersion', ['1.2.0-next.3'])).toEqual(['1.2.0_pre3'])
})

test.skipIf(noDpkg !== null)(`dpkg sorts them so${noDpkg ?? ''}`, async () => {
  const written = await versions('tildeVersion', ordered)
  for (const [i, version] of written.slice(1).entries()) {
    const args = ['--compare-versions', `${written[i]}-1`, 'lt', `${version}-1`]
    expect([args, (await runTool('dpkg', args)).exitCode]).toEqual([args, 0])
  }
})

test.skipIf(noRpm !== null)(`rpm sorts them so${noRpm ?? ''}`, async () => {
  const written = await versions('tildeVersion', ordered)
  for (const [i, version] of written.slice(1).entries()) {
    const args = ['--eval', `%{lua:print(rpm.vercmp("${written[i]}", "${version}"))}`]
    expect([args, (await runTool('rpm', args)).stdout]).toEqual([args, '-1\n'])
  }
})

test('npm run release refuses a revision that is no number, before it writes anything', async () => {
  const out = join(project, 'build', 'no-such-release')
  for (const wrong of ['x', '0', '1.5', '']) {
    const script = join(project, 'scripts/release/release.mjs')
    const args = [script, '--executables', '/', '--out', out, '--revision', wrong]
    const { exitCode, stderr } = await run(process.execPath, args, process.env as never)
    expect(exitCode).toBe(1)
    expect(stderr).toContain(`--revision ${wrong} is not a number from 1 on.`)
  }
  expect(() => readFileSync(out)).toThrow('ENOENT')
})

test('the executable is started with the options of Node that the daemon has', () => {
  const script = readFileSync(join(project, 'scripts/standalone/build.mjs'), 'utf8')
  const said = nodeFlags.map((flag) => `'${flag}'`).join(', ')
  expect(script).toContain(`\nconst nodeFlags = [${said}]\n`)
})
