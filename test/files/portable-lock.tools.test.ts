import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { mkdir, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { project } from '../helpers/built.ts'
import { otherRuntime, packageWithoutAddon, type OtherRuntime } from '../helpers/other-runtimes.ts'
import { scrubbedEnvironment } from '../helpers/scrubbed.ts'
import { killGroup, run, start } from '../helpers/subprocess.ts'
import { temporaryDirectory } from '../helpers/temporary.ts'

// The lock in Node, by the native add-on, and in Deno, in Bun and in a Node for whose system there is
// no add-on, by SQLite. All of them run TypeScript.

/** A kind of process that locks. */
interface Kind {
  readonly name: string
  readonly command: readonly [string, ...string[]]
  /** The directory of the package that it loads. */
  readonly directory: string
}

const kinds: Kind[] = []
const missing: string[] = []
let bare: string

beforeAll(async () => {
  bare = await packageWithoutAddon()
  const add = (runtime: OtherRuntime, name: string, directory: string): void => {
    if (runtime.command === null) missing.push(runtime.missing ?? '')
    else kinds.push({ name, command: runtime.command, directory })
  }
  const node = await otherRuntime('Node 24')
  add(node, 'Node', project)
  add(node, 'Node without an add-on', bare)
  for (const name of ['Deno', 'Bun', 'Bun 1.3'] as const)
    add(await otherRuntime(name), name, project)
})

/** Starts a script with `withLock`, `isLocked`, `state` and `say` at hand. */
async function startScript({ command, directory }: Kind, state: string, body: string) {
  const home = await temporaryDirectory()
  const script = join(home, 'script.mjs')
  const text = `
    import fs from 'node:fs'
    import { isLocked, withLock } from ${JSON.stringify(join(directory, 'src/files/lock.ts'))}
    const state = { path: ${JSON.stringify(state)}, owner: null }
    const say = (text) => fs.writeSync(1, text + '\\n')
    const told = () => new Promise((resolve) => process.stdin.once('data', resolve))
    ${body}
    process.exit()`
  await writeFile(script, text)
  const [program, ...args] = command
  const env = scrubbedEnvironment(home, { DENO_NO_UPDATE_CHECK: '1' })
  const child = start(program, [...args, script], env)
  onTestFinished(() => killGroup(child))
  let errors = ''
  child.stderr.setEncoding('utf8').on('data', (data: string) => (errors += data))
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  return {
    child,
    /** Returns the next line that the script says. */
    async heard(): Promise<string> {
      const { value, done } = await lines.next()
      if (done === true) throw new Error(`the script ended: ${errors}`)
      return value
    },
    /** Lets the script go on. */
    tell: () => child.stdin.write('go on\n'),
    async end(): Promise<void> {
      if (child.exitCode === null && child.signalCode === null) await once(child, 'close')
      expect(errors).toBe('')
    },
  }
}

const holding = `
  await withLock(state, async () => { say('holds'); await told() }, { waitMilliseconds: 60_000 })
  say('gave it back')
  await told()`
const asking = `
  say(String(isLocked(state, 'lock')))
  await withLock(state, async () => say('holds'), { waitMilliseconds: 0 }).catch((e) => say(e.code))`

/** The kind that has the add-on, where its Node can be had. */
function first(): Kind {
  const [kind] = kinds
  if (kind === undefined) throw new Error(missing.join())
  return kind
}

/** Returns whether another process holds the lock, and what became of the attempt to take it. */
async function answerOf(kind: Kind, state: string): Promise<string[]> {
  const asker = await startScript(kind, state, asking)
  const said = [await asker.heard(), await asker.heard()]
  await asker.end()
  return said
}

test('every kind of process can be had', ({ skip }) => {
  if (missing.length > 0) skip(missing.join('; '))
  expect(kinds).toHaveLength(5)
})

test('each kind keeps out each, until it gives the lock back', async () => {
  for (const holder of kinds) {
    const state = join(await temporaryDirectory(), 'state')
    const one = await startScript(holder, state, holding)
    expect(await one.heard()).toBe('holds')
    const answers = await Promise.all(kinds.map((kind) => answerOf(kind, state)))
    expect([holder.name, answers]).toEqual([holder.name, kinds.map(() => ['true', 'locked'])])
    one.tell()
    expect(await one.heard()).toBe('gave it back')
    // The holder still runs.
    for (const kind of kinds)
      expect([kind.name, ...(await answerOf(kind, state))]).toEqual([kind.name, 'false', 'holds'])
    one.tell()
    await one.end()
    // Nothing is recorded of a holder that anybody could take for another process.
    expect(readdirSync(state)).toEqual(['lock'])
    const { size, mode } = statSync(join(state, 'lock'))
    expect([size, mode & 0o777]).toEqual([0, 0o600])
  }
})

test('a process that looks for what it wrote keeps its lock', async () => {
  for (const holder of kinds) {
    const state = join(await temporaryDirectory(), 'state')
    const layout = JSON.stringify(join(holder.directory, 'src/storage/files/state-layout.ts'))
    const one = await startScript(
      holder,
      state,
      `const { stateEntries } = await import(${layout})
      await withLock(state, async () => {
        say((await stateEntries(state)).files.join())
        await told()
      })`,
    )
    expect(await one.heard()).toBe(join(state, 'lock'))
    expect([holder.name, ...(await answerOf(holder, state))]).toEqual([
      holder.name,
      'true',
      'locked',
    ])
    one.tell()
    await one.end()
  }
})

test('the lock of a holder that is killed goes to who waits for it', async () => {
  for (const [at, holder] of kinds.entries()) {
    const state = join(await temporaryDirectory(), 'state')
    const one = await startScript(holder, state, holding)
    expect(await one.heard()).toBe('holds')
    const waiter = kinds[(at + 1) % kinds.length] ?? holder
    const other = await startScript(waiter, state, `say('waits')\n${holding}`)
    expect(await other.heard()).toBe('waits')
    one.child.kill('SIGKILL')
    expect(await other.heard()).toBe('holds')
    expect(await answerOf(first(), state)).toEqual(['true', 'locked'])
    killGroup(other.child)
    expect(readdirSync(state)).toEqual(['lock'])
  }
})

test('a process keeps its lock while it asks for it, and its other calls wait', async () => {
  for (const kind of kinds) {
    const state = join(await temporaryDirectory(), 'state')
    const one = await startScript(
      kind,
      state,
      `const order = []
      const step = (name) => withLock(state, async () => {
        order.push(name + ' begins')
        await new Promise((resolve) => setTimeout(resolve, 20))
        order.push(name + ' ends')
      })
      await Promise.all(['a', 'b', 'c'].map(step))
      const pairs = [0, 2, 4].map((at) => order[at].replace('begins', 'ends') === order[at + 1])
      say(pairs.join())
      await withLock(state, async () => {
        const own = isLocked(state, 'lock')
        const second = withLock(state, async () => {}, { waitMilliseconds: 0 })
        say([own, await second.catch((error) => error.code)].join())
        await told()
      })`,
    )
    expect([kind.name, await one.heard()]).toEqual([kind.name, 'true,true,true'])
    expect([kind.name, await one.heard()]).toEqual([kind.name, 'true,locked'])
    expect(await answerOf(first(), state)).toEqual(['true', 'locked'])
    one.tell()
    await one.end()
  }
})

test('a lock whose file was deleted keeps nobody out, so that it is taken again', async () => {
  for (const kind of kinds) {
    const state = join(await temporaryDirectory(), 'state')
    const one = await startScript(first(), state, holding)
    expect(await one.heard()).toBe('holds')
    const waiter = await startScript(kind, state, `say('waits')\n${holding}`)
    expect(await waiter.heard()).toBe('waits')
    // Time to find the lock held; the outcome is the same without.
    await new Promise((resolve) => setTimeout(resolve, 300))
    // As `uninstall --delete-ca` does it, while it holds the lock.
    await rm(join(state, 'lock'))
    one.tell()
    expect(await waiter.heard()).toBe('holds')
    expect(await answerOf(first(), state)).toEqual(['true', 'locked'])
    for (const script of [one, waiter]) killGroup(script.child)
  }
})

test('a link in the place of the file is not followed', async () => {
  for (const kind of kinds) {
    const directory = await temporaryDirectory()
    const state = join(directory, 'state')
    await mkdir(state, { mode: 0o700 })
    await symlink(join(directory, 'elsewhere'), join(state, 'lock'))
    const one = await startScript(
      kind,
      state,
      "await withLock(state, async () => say('holds')).catch((error) => say(error.code))",
    )
    expect([kind.name, await one.heard()]).toEqual([kind.name, 'state-unwritable'])
    await one.end()
    expect(existsSync(join(directory, 'elsewhere'))).toBe(false)
  }
})

test('of many processes that are killed at random, one alone is inside at a time', async () => {
  const state = join(await temporaryDirectory(), 'state')
  const log = join(await temporaryDirectory(), 'log')
  const body = `
    const note = (text) => fs.appendFileSync(${JSON.stringify(log)}, process.pid + text + '\\n')
    say('runs')
    for (let round = 0; round < 40; round++)
      await withLock(state, async () => {
        note(' begins')
        await new Promise((resolve) => setTimeout(resolve, round % 3))
        note(' ends')
      }, { waitMilliseconds: 300_000 })`
  const survivors = await Promise.all(kinds.map((kind) => startScript(kind, state, body)))
  await Promise.all(survivors.map((one) => one.heard()))
  const pauses = [5, 80, 11, 40, 3, 120, 25, 60]
  for (const [at, pause] of pauses.entries()) {
    const kind = kinds[at % kinds.length] ?? first()
    const one = await startScript(kind, state, body)
    expect(await one.heard()).toBe('runs')
    await new Promise((resolve) => setTimeout(resolve, pause))
    one.child.kill('SIGKILL')
  }
  for (const one of survivors) await one.end()
  const lines = readFileSync(log, 'utf8').trim().split('\n')
  const ended = lines.filter((line) => line.endsWith(' ends'))
  expect(ended.length).toBeGreaterThanOrEqual(40 * survivors.length)
  const gone = new Set<string>()
  let inside: string | null = null
  for (const line of lines) {
    const [pid = '', step] = line.split(' ')
    // Who did not end was killed, and is heard of no more.
    if (step === 'begins' && inside !== null) gone.add(inside)
    expect([line, gone.has(pid)]).toEqual([line, false])
    if (step === 'ends') expect([line, pid]).toEqual([line, inside])
    inside = step === 'begins' ? pid : null
  }
  expect(gone.size).toBeLessThanOrEqual(pauses.length)
})

describe('where there is no add-on', () => {
  const issue = ([program, ...args]: readonly [string, ...string[]], home: string) => {
    const own = ['issue', 'a.test', '--out-dir', home]
    const env = scrubbedEnvironment(home, { ROOTLING_HOME: join(home, 'state') })
    return run(program, [...args, join(bare, 'dist/cli/rootling.cjs'), ...own], env)
  }

  test('Node 22 issues, without its warning that SQLite is an experiment', async ({ skip }) => {
    const { command, missing: why } = await otherRuntime('Node 22')
    if (command === null) return skip(why ?? '')
    const said = await issue(command, await temporaryDirectory())
    expect(said).toMatchObject({ exitCode: 0 })
    expect(said.stderr).not.toMatch(/SQLite|Experimental/)
  })

  test('a Node without SQLite says what is missing, in one sentence', async ({ skip }) => {
    if (!process.version.startsWith('v20.')) return skip('this Node has SQLite')
    const said = await issue([process.execPath], await temporaryDirectory())
    const { platform, arch } = process
    expect(said).toMatchObject({ exitCode: 1, stdout: '' })
    expect(said.stderr).toBe(
      `Error: Rootling cannot lock its files: it has no add-on for ${platform}-${arch}, and Node ${process.versions.node} has no SQLite.\n` +
        '  → Use Node 22.13 or newer, Deno 2.2 or newer, or Bun\n',
    )
  })
})
