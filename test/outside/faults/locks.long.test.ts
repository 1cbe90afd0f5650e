import { once } from 'node:events'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { ensureAuthority } from '../../../src/authority/create.ts'
import { killGroup, run, start } from '../../helpers/subprocess.ts'
import { unfriendly, openWorld, rootlingLine, type World } from './world.ts'
import { untraceable } from './points.ts'

async function withAuthority(): Promise<World> {
  const world = await openWorld()
  await ensureAuthority({ path: world.state, owner: null }, new Date())
  return world
}

const issueLine = ({ out }: World): string[] => ['issue', 'localhost', '--out-dir', out]

/** A process that holds the state directory's lock for as long as it lives. */
async function holder(world: World): Promise<ReturnType<typeof start>> {
  const script = `
    import { open } from 'node:fs/promises'
    import { createRequire } from 'node:module'
    const native = createRequire(process.cwd() + '/')('fs-native-extensions')
    const file = await open(process.argv[1], 'r+')
    native.tryLock(file.fd, 0, 0, { exclusive: true })
    console.log('held')
    setInterval(() => file.fd, 1000)`
  const lock = join(world.state, 'lock')
  const child = start(process.execPath, ['--input-type=module', '-e', script, lock], world.env)
  onTestFinished(() => killGroup(child))
  await once(child.stdout, 'data')
  return child
}

test('a lock whose process was killed, or whose file is old, stops nobody', async () => {
  const world = await withAuthority()
  const child = await holder(world)
  const closed = once(child, 'close')
  killGroup(child)
  await closed
  // The id of a process that lives: what a lock file says is not what is looked at.
  writeFileSync(join(world.state, 'lock'), `${process.pid}\n`)
  expect(await world.rootling(issueLine(world))).toMatchObject({ exitCode: 0 })
})

test('a lock that a stopped process holds is waited for, and named after half a minute', async () => {
  const world = await withAuthority()
  const child = await holder(world)
  child.kill('SIGSTOP')
  const began = Date.now()
  const finished = await world.rootling(issueLine(world))
  const waited = Date.now() - began
  expect(unfriendly(finished)).toEqual([])
  expect(finished.stderr).toContain(
    `Another rootling has held ${join(world.state, 'lock')} for 30 s.`,
  )
  expect(waited).toBeGreaterThan(29_000)
  expect(existsSync(join(world.out, 'localhost.pem'))).toBe(false)
  expect(await world.rootling(['list'])).toMatchObject({ exitCode: 0 })

  child.kill('SIGCONT')
  killGroup(child)
  expect(await world.rootling(issueLine(world))).toMatchObject({ exitCode: 0 })
})

test.skipIf(untraceable() !== null)(
  `a file system whose locks take a second each is slow and otherwise the same${untraceable() ?? ''}`,
  async () => {
    const world = await withAuthority()
    // Only upon the lock file: Node calls fcntl for itself.
    const delay = ['-P', join(world.state, 'lock'), '-e', 'inject=flock,fcntl:delay_enter=1000000']
    const trace = (i: number): string => join(world.root, `trace${i}`)
    const commands = [0, 1, 2].map((i) => {
      const line = rootlingLine(['issue', `app${i}.test`, '--out-dir', world.out])
      return run('strace', ['-f', '-o', trace(i), ...delay, '--', ...line], world.env)
    })
    for (const finished of await Promise.all(commands))
      expect(finished).toMatchObject({ exitCode: 0 })
    for (const i of [0, 1, 2]) expect(readFileSync(trace(i), 'utf8')).toContain('(DELAYED)')
    const { stdout } = await world.rootling(['list', '--json'])
    expect(JSON.parse(stdout).certificates).toHaveLength(3)
  },
)
