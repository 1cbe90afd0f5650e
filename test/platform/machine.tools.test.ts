import { chmodSync, existsSync, lstatSync, mkdirSync, mkdtempSync, readdirSync } from 'node:fs'
import { readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { run } from '../../platform/command.ts'
import { withDirectoryLock } from '../../platform/directory-lock.ts'
import { displayCommand } from '../../platform/display-command.ts'
import { createMachine } from '../../platform/machine.ts'
import { parsePasswd } from '../../platform/person.ts'
import { findProgram, isTrustedProgram } from '../../platform/programs.ts'

const env = { PATH: '/usr/bin:/bin' }

function makeDirectory(): string {
  const directory = mkdtempSync(path.join(tmpdir(), 'machine-'))
  onTestFinished(() => rmSync(directory, { recursive: true }))
  return directory
}

describe('running a program', () => {
  test('returns exit code and output, and gives input as a file that can be opened', async () => {
    const { exitCode, stdout } = await run('/bin/cat', ['/dev/stdin'], { env, input: 'ä\n' })
    expect({ exitCode, stdout }).toEqual({ exitCode: 0, stdout: 'ä\n' })
    expect((await run('/bin/sh', ['-c', 'exit 3'], { env })).exitCode).toBe(3)
  })

  test('gives a secret through a pipe, and shows it to nobody', async () => {
    const seen: string[] = []
    const machine = await createMachine({ env, onCommand: (command) => seen.push(command) })
    const options = { as: 'person', secret: 'trustno1\n' } as const
    const script = 'cat; readlink /proc/self/fd/0'
    const { stdout } = await machine.change('/bin/sh', ['-c', script], options)
    expect(stdout).toMatch(/^trustno1\n(?:pipe|socket):/)
    expect(await machine.change('/bin/true', [], options)).toMatchObject({ exitCode: 0 })
    const dry = await createMachine({ env, dryRun: true })
    await dry.change('/bin/cat', [], options)
    expect([...seen, ...dry.planned].join('\n')).not.toContain('trustno1')
    expect(dry.planned).toEqual(['/bin/cat'])
  })

  test('keeps what would disturb the answer out of the environment', async () => {
    const noise = { NODE_EXTRA_CA_CERTS: '/x', LANGUAGE: 'de', JAVA_TOOL_OPTIONS: '-x', KEPT: '1' }
    const { stdout } = await run('/usr/bin/env', [], { env: { ...env, ...noise } })
    expect(stdout.trim().split('\n').toSorted()).toEqual([
      'KEPT=1',
      'LC_ALL=C.UTF-8',
      'PATH=/usr/bin:/bin',
    ])
  })

  test('says that no temporary file can be made, and names TMPDIR', async () => {
    vi.stubEnv('TMPDIR', '/nonexistent')
    onTestFinished(() => void vi.unstubAllEnvs())
    await expect(run('/bin/cat', [], { env, input: 'x' })).rejects.toMatchObject({
      code: 'state-unwritable',
      message: 'No temporary file can be made in /nonexistent (ENOENT).',
      hint: 'Set TMPDIR to a directory that you can write to',
    })
  })

  test('stops a program that gives no answer', async () => {
    const start = Date.now()
    const hanging = run('/bin/sleep', ['20'], { env, timeLimit: 200 })
    await expect(hanging).rejects.toMatchObject({ code: 'tool-timeout' })
    expect(Date.now() - start).toBeLessThan(5000)
  })

  test('ends all that the program started, and names what is meant', async () => {
    const directory = makeDirectory()
    const ids = path.join(directory, 'ids')
    // One child would go on after a polite signal, and one belongs to a script below.
    const script = `
      (trap '' TERM; echo $BASHPID; exec sleep 30) >> ${ids} &
      sh -c 'echo $$ >> ${ids}; sleep 31; echo survived > ${directory}/survived' &
      wait`
    const waits: string[] = []
    const hanging = run('/bin/bash', ['-c', script], {
      env,
      timeLimit: 1_500,
      name: 'update-ca-certificates',
      onWait: (name, seconds) => waits.push(`${name} ${seconds}`),
    })
    await expect(hanging).rejects.toMatchObject({
      code: 'tool-timeout',
      message: 'update-ca-certificates gave no answer in 1.5 seconds and was stopped.',
    })
    expect(waits).toEqual(['update-ca-certificates 1'])
    const started = readFileSync(ids, 'utf8').trim().split('\n')
    expect(started).toHaveLength(2)
    for (const id of started) await vi.waitFor(() => expect(isRunning(id)).toBe(false), 5_000)
    expect(existsSync(path.join(directory, 'survived'))).toBe(false)
  })

  test('reports a program that is not there, is killed, or never stops talking', async () => {
    await expect(run('/bin/nope', [], { env })).rejects.toMatchObject({ code: 'tool-missing' })
    const killed = run('/bin/sh', ['-c', 'kill -9 $$'], { env })
    await expect(killed).rejects.toMatchObject({ code: 'tool-failed' })
    await expect(run('/usr/bin/yes', [], { env })).rejects.toMatchObject({ code: 'tool-failed' })
  })
})

/** Whether a process runs: one that ended and that nobody asked for its end does not. */
function isRunning(id: string): boolean {
  if (!existsSync(`/proc/${id}/stat`)) return false
  return !/\) Z /.test(readFileSync(`/proc/${id}/stat`, 'utf8'))
}

describe('finding a program', () => {
  test('takes no program for root that others can change', async () => {
    const directory = makeDirectory()
    const program = path.join(directory, 'tool')
    writeFileSync(program, '#!/bin/sh\n', { mode: 0o755 })
    chmodSync(program, 0o777)
    expect(await isTrustedProgram(program)).toBe(false)
    expect(await isTrustedProgram('/usr/bin/env')).toBe(true)
    const inPath = { PATH: directory }
    expect(await findProgram('tool', inPath, false)).toBe(program)
    expect(await findProgram('tool', inPath, true)).toBeNull()
    expect(await findProgram(program, inPath, true)).toBeNull()
  })

  test("looks where the system's tools are although PATH does not", async () => {
    expect(await findProgram('env', { PATH: '' }, false)).toMatch(/\/bin\/env$/)
    expect(await findProgram('no-such-tool', env, false)).toBeNull()
  })
})

describe('changing the machine', () => {
  test('writes a readable file under a strict umask', async () => {
    const file = path.join(makeDirectory(), 'a/b/root.crt')
    const machine = await createMachine({ env })
    const before = process.umask(0o077)
    await machine.writeFile(file, 'x', 'person').finally(() => process.umask(before))
    expect(readFileSync(file, 'utf8')).toBe('x')
    expect(statSync(file).mode & 0o777).toBe(0o644)
    expect(statSync(path.dirname(file)).mode & 0o777).toBe(0o755)
    await machine.removeEmptyDirectory(path.dirname(file), 'person')
    expect(existsSync(file)).toBe(true)
    await machine.removeFile(file, 'person')
    await machine.removeFile(file, 'person')
    await machine.removeEmptyDirectory(path.dirname(file), 'person')
    expect(existsSync(path.dirname(file))).toBe(false)
  })

  test('replaces a file behind a link, with its mode, and leaves the link', async () => {
    const directory = makeDirectory()
    const [file, link] = [path.join(directory, 'file'), path.join(directory, 'link')]
    writeFileSync(file, 'old')
    chmodSync(file, 0o640)
    symlinkSync('file', link)
    const machine = await createMachine({ env })
    await machine.replaceFile(link, 'new', 'person')
    expect(readFileSync(file, 'utf8')).toBe('new')
    expect(statSync(file).mode & 0o7777).toBe(0o640)
    expect(readdirSync(directory)).toEqual(['file', 'link'])
    expect(lstatSync(link).isSymbolicLink()).toBe(true)
  })

  test('replaces no file of root that others could swap for another', async () => {
    const directory = makeDirectory()
    const [file, link] = [path.join(directory, 'open/file'), path.join(directory, 'link')]
    mkdirSync(path.dirname(file))
    chmodSync(path.dirname(file), 0o777)
    writeFileSync(file, 'old')
    symlinkSync('open/file', link)
    const machine = await createMachine({ env, dryRun: true })
    await expect(machine.replaceFile(link, 'new', 'root')).rejects.toMatchObject({
      code: 'store-failed',
      message: `${link} is a symbolic link to ${file}, which other users than root can change.`,
    })
    expect(machine.planned).toEqual([])
  })

  test('removes a directory only if it is an empty one', async () => {
    const directory = makeDirectory()
    const at = (name: string) => path.join(directory, name)
    for (const name of ['empty', 'full', 'linked']) mkdirSync(at(name))
    writeFileSync(at('full/file'), '')
    symlinkSync('linked', at('link'))
    const machine = await createMachine({ env })
    for (const name of ['empty', 'full', 'link', 'absent'])
      await machine.removeEmptyDirectory(at(name), 'person')
    expect(readdirSync(directory)).toEqual(['full', 'link', 'linked'])
  })

  test('works alone on a directory of the machine, whatever process asks', async () => {
    const directory = makeDirectory()
    const events: string[] = []
    const step = async (name: string) => {
      const machine = await createMachine({ env })
      await machine.alone(directory, async () => {
        events.push(`${name} begins`)
        await new Promise((resolve) => setTimeout(resolve, 100))
        events.push(`${name} ends`)
      })
    }
    await Promise.all([step('one'), step('two'), step('three')])
    const begun = events.filter((_, index) => index % 2 === 0).map((each) => each.split(' ')[0])
    expect(events).toEqual(begun.flatMap((name) => [`${name} begins`, `${name} ends`]))
    expect(begun).toHaveLength(3)
    expect(readdirSync(directory)).toEqual([])
  })

  test('goes on without a lock that somebody else does not give up', async () => {
    const directory = makeDirectory()
    const programs = { flock: '/usr/bin/flock', sh: '/bin/sh' }
    await withDirectoryLock(
      directory,
      async () => {
        const options = { programs, waitMilliseconds: 1_500 }
        const waited: string[] = []
        const onWait = (what: string): void => void waited.push(what)
        const second = withDirectoryLock(directory, async () => 'not alone', { ...options, onWait })
        expect(await second).toBe('not alone')
        expect(waited.length).toBeGreaterThan(0)
      },
      { programs },
    )
    expect(await withDirectoryLock(directory, async () => 'alone', { programs })).toBe('alone')
    await expect(
      withDirectoryLock('/no/such', async () => null, { programs }),
    ).rejects.toMatchObject({ code: 'tool-failed' })
  })

  test('only records in a dry run', async () => {
    const directory = makeDirectory()
    const file = path.join(directory, "it's here")
    const machine = await createMachine({ env, dryRun: true })
    await machine.change('/bin/rm', ['-rf', directory], { as: 'person' })
    await machine.writeFile(file, 'x\n', 'person')
    expect(existsSync(directory)).toBe(true)
    expect(existsSync(file)).toBe(false)
    const quoted = String.raw`${directory}/it'\''s here`
    expect(machine.planned[0]).toBe(`/bin/rm -rf ${directory}`)
    expect(machine.planned[1]).toContain(
      `install -D -m 0644 /dev/stdin '${quoted}' <<'EOF'\nx\nEOF`,
    )
  })

  test('says how to go on when root is needed and sudo was not allowed', async () => {
    vi.spyOn(process, 'getuid').mockReturnValue(1000)
    const machine = await createMachine({ env, sudo: 'forbidden' })
    await expect(machine.change('/bin/true', [], { as: 'root' })).rejects.toMatchObject({
      code: 'store-failed',
      message: 'true needs root, and sudo was not allowed.',
      hint: 'Run it again without --no-sudo',
    })
    expect(await machine.change('/bin/true', [], { as: 'person' })).toMatchObject({ exitCode: 0 })
  })

  test('shows sudo where a person would type it', async () => {
    vi.spyOn(process, 'getuid').mockReturnValue(1000)
    const machine = await createMachine({ env, dryRun: true })
    await machine.change('/bin/true', ['a b'], { as: 'root' })
    expect(machine.planned).toEqual(["sudo /bin/true 'a b'"])
  })
})

test('quotes every word that a shell would read otherwise', () => {
  expect(displayCommand(['a', 'C,,', '/x/y-z', '$HOME', "it's", ''])).toBe(
    String.raw`a C,, /x/y-z '$HOME' 'it'\''s' ''`,
  )
  const known = new Map([['pem', '/a b']])
  expect(displayCommand(['cat'], 'pem', known)).toBe("cat < '/a b'")
})

test('finds a user by number in passwd(5)', () => {
  const text = 'root:x:0:0:root:/root:/bin/sh\nada:x:1000:1001:Ada,,,:/home/ada:/bin/sh\nbad\n'
  const ada = { name: 'ada', uid: 1000, gid: 1001, home: '/home/ada' }
  expect(parsePasswd(text, '1000')).toEqual(ada)
  expect(parsePasswd(text, '1002')).toBeNull()
})
