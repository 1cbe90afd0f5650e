import { chmodSync, existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { dirname, join } from 'node:path'
import { afterEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { removeStaleSocket, socketPath } from '../../src/home/run-file.ts'
import { temporaryDirectory } from '../helpers/temporary.ts'

const nonce = (letter: string): string => letter.repeat(32)

/** A state directory whose own path is too long for a socket, and directories to choose from. */
async function openFar() {
  const directory = await temporaryDirectory()
  const [runtime, shared] = [join(directory, 'runtime'), join(directory, 'tmp')]
  mkdirSync(runtime, { mode: 0o700 })
  mkdirSync(shared)
  chmodSync(shared, 0o1777)
  vi.stubEnv('XDG_RUNTIME_DIR', runtime)
  vi.stubEnv('TMPDIR', shared)
  return { state: { path: join(directory, 'x'.repeat(120)), owner: null }, runtime, shared }
}
afterEach(() => vi.unstubAllEnvs())

describe('the control socket of a state directory with a long path', () => {
  test('lies in the runtime directory, and has one name there', async () => {
    const { state, runtime } = await openFar()
    const path = await socketPath(state, nonce('a'))
    expect(dirname(dirname(path))).toBe(runtime)
    expect(statSync(dirname(path)).mode & 0o777).toBe(0o700)
    expect(await socketPath(state, nonce('b'))).toBe(path)
  })

  test('leaves a runtime directory alone in which others can write', async () => {
    const { state, runtime } = await openFar()
    chmodSync(runtime, 0o777)
    await socketPath(state, nonce('a'))
    expect(readdirSync(runtime)).toEqual([])
  })

  test.each(['', 'relative', '/nowhere/at/all', `/${'x'.repeat(5_000)}`])(
    'does without the runtime directory %j',
    async (value) => {
      const { state } = await openFar()
      vi.stubEnv('XDG_RUNTIME_DIR', value)
      expect(await socketPath(state, nonce('a'))).toMatch(/^\/.*\/rootling-[^/]+\/control\.sock$/)
    },
  )

  // As a user without /run/user, which root may have.
  test.skipIf(existsSync(`/run/user/${process.geteuid?.()}`))(
    'has a name in a shared directory that nobody can take before',
    async () => {
      const { state, runtime, shared } = await openFar()
      chmodSync(runtime, 0o777)
      const paths = [await socketPath(state, nonce('a')), await socketPath(state, nonce('b'))]
      expect(paths).toEqual([
        join(shared, `rootling-${'a'.repeat(16)}`, 'control.sock'),
        join(shared, `rootling-${'b'.repeat(16)}`, 'control.sock'),
      ])
    },
  )
})

describe('a socket that a killed daemon left', () => {
  const runFile = (address: string) => ({
    address,
    token: '5a'.repeat(32),
    pid: 1,
    since: '',
    revocationUrl: null,
  })

  async function leaveSocket(name = 'control.sock'): Promise<string> {
    const address = join(await temporaryDirectory(), 'rootling-x', name)
    mkdirSync(dirname(address))
    const server = createServer()
    onTestFinished(() => void server.close())
    await new Promise<void>((resolve) => server.listen(address, resolve))
    return address
  }

  test('goes with its directory', async () => {
    const address = await leaveSocket()
    removeStaleSocket(runFile(address))
    expect(existsSync(dirname(address))).toBe(false)
  })

  test('goes alone where its directory holds something else', async () => {
    const address = await leaveSocket()
    writeFileSync(join(dirname(address), 'other'), '')
    removeStaleSocket(runFile(address))
    expect(readdirSync(dirname(address))).toEqual(['other'])
  })

  test('is left alone where its name is not that of the control socket', async () => {
    const address = await leaveSocket('bus')
    removeStaleSocket(runFile(address))
    expect(existsSync(address)).toBe(true)
  })

  test('is left alone where it is anything but a socket', async () => {
    const file = join(await temporaryDirectory(), 'control.sock')
    writeFileSync(file, 'a thesis')
    removeStaleSocket(runFile(file))
    removeStaleSocket(runFile(dirname(file)))
    removeStaleSocket(runFile(join(dirname(file), 'absent')))
    expect(existsSync(file)).toBe(true)
  })
})
