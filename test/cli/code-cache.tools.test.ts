import {
  chownSync,
  cpSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { nodeFlags } from '../../src/daemon/garbage.ts'
import { scrubbedEnvironment } from '../helpers/scrubbed.ts'
import { run } from '../helpers/subprocess.ts'
import { ensureBuilt, project } from '../helpers/built.ts'

const hooked = process.versions.node.startsWith('20.')

/** An installation of its own, and what its `ca path` says after each change to it. */
function install() {
  ensureBuilt()
  const directory = mkdtempSync(join(tmpdir(), 'rootling-compiled-'))
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }))
  const filter = (path: string): boolean => !path.endsWith('compiled')
  cpSync(join(project, 'dist'), join(directory, 'dist'), { recursive: true, filter })
  symlinkSync(join(project, 'node_modules'), join(directory, 'node_modules'))
  const chunks = join(directory, 'dist/cli/chunks')
  const compiled = join(chunks, 'compiled')
  return {
    chunks,
    compiled,
    async run(flags: readonly string[] = []) {
      const line = [...flags, join(directory, 'dist/cli/rootling.cjs'), 'list']
      const finished = await run(process.execPath, line, scrubbedEnvironment(directory))
      expect(finished.exitCode, finished.stderr).toBe(0)
      return finished.stderr
    },
    main: () =>
      join(compiled, readdirSync(compiled).find((name) => name.startsWith('main.cjs')) ?? ''),
  }
}

const nothing = 'No certificates. Issue one: rootling issue localhost\n'

test('the second command takes the code that the first has compiled', async () => {
  const installation = install()
  expect(await installation.run()).toBe(nothing)
  const made = readdirSync(installation.compiled).length
  expect(made).toBeGreaterThan(0)
  if (!hooked) return
  const { ino } = statSync(installation.main())
  expect(await installation.run()).toBe(nothing)
  expect(statSync(installation.main()).ino).toBe(ino)
  expect(await installation.run(nodeFlags)).toBe(nothing)
  expect(statSync(installation.main()).ino).toBe(ino)
})

test.runIf(hooked)(
  'code that is damaged, cut short or of another source is compiled anew',
  async () => {
    const installation = install()
    await installation.run()
    const path = installation.main()
    const whole = readFileSync(path)
    const flipped = Buffer.from(whole)
    flipped[whole.length >> 1] = (flipped[whole.length >> 1] ?? 0) ^ 1
    for (const damaged of [flipped, whole.subarray(0, 40_000), Buffer.alloc(0)]) {
      writeFileSync(path, damaged)
      expect(await installation.run()).toBe(nothing)
      expect(readFileSync(path).equals(damaged)).toBe(false)
    }
    // Of the same length, which is all that V8 compares.
    const list = join(installation.chunks, 'list.cjs')
    writeFileSync(list, readFileSync(list, 'utf8').replace('Issue one:', 'Make some:'))
    expect(await installation.run()).toBe(nothing.replace('Issue one:', 'Make some:'))
  },
)

test.runIf(process.geteuid?.() === 0)(
  'another owner’s installation is neither written to nor taken compiled code from',
  async () => {
    const installation = install()
    chownSync(installation.chunks, 65534, 65534)
    expect(await installation.run()).toBe(nothing)
    expect(readdirSync(installation.chunks)).not.toContain('compiled')
  },
)
