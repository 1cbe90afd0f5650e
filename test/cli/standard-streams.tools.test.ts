import { join } from 'node:path'
import { expect, test } from 'vitest'
import { issue } from '../../src/certificates/issue.ts'
import { scrubbedEnvironment } from '../helpers/scrubbed.ts'
import { run } from '../helpers/subprocess.ts'
import { command } from '../helpers/built.ts'
import { openHome } from '../helpers/home.ts'

const rootling = `'${process.execPath}' '${command}'`

/** Runs lines in a shell, in a home where 300 certificates are on record: 100 KiB of `list --json`. */
async function openShell() {
  const { directory, createAuthority } = openHome()
  await createAuthority()
  const state = { path: join(directory, 'state'), owner: null }
  for (let i = 0; i < 300; i++)
    await issue(state, { names: [`host-${i}.localhost`], files: null }, new Date())
  const env = scrubbedEnvironment(directory, { ROOTLING_HOME: state.path })
  return (line: string) => run('sh', ['-c', line], env)
}

test('a full disk behind standard output is named, and the exit code is 1', async () => {
  const shell = await openShell()
  for (const line of ['list --json', 'list', '--version', '--help']) {
    const { exitCode, stderr } = await shell(`${rootling} ${line} >/dev/full`)
    expect(stderr, line).toBe('Error: Standard output could not be written: the disk is full.\n')
    expect(exitCode, line).toBe(1)
  }
})

test('a reader that went away has what it wanted', async () => {
  const shell = await openShell()
  for (const line of ['list --json', 'list', '--version', '--help']) {
    const late = `{ sleep 0.2; ${rootling} ${line}; echo "exit code $?" >&2; } | true`
    expect((await shell(late)).stderr, line).toBe('exit code 0\n')
  }
})

test('a pipe that another program made not to wait takes everything', async () => {
  const shell = await openShell()
  const opens = `'${process.execPath}' -e 'process.stdout.write(""); setTimeout(() => {}, 1500)'`
  const writers = `${opens} & sleep 0.5; ${rootling} list --json; echo "exit code $?" >&2; wait`
  const { stdout, stderr } = await shell(`{ ${writers}; } | { sleep 1; cat; }`)
  expect(stderr).toBe('exit code 0\n')
  expect(stdout.length).toBeGreaterThan(65_536)
  expect(JSON.parse(stdout)).toMatchObject({ ok: true })
})
