import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { rolldown } from 'rolldown'
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { freePort } from '../helpers/free-port.ts'
import { handingOver } from '../helpers/handed-sockets.ts'
import { otherRuntime } from '../helpers/other-runtimes.ts'
import { scrubbedEnvironment } from '../helpers/scrubbed.ts'
import { waitFor } from '../helpers/subprocess.ts'
import { temporaryDirectory } from '../helpers/temporary.ts'
import { hasIpv6Loopback } from '../helpers/https-server.ts'
import { notInstalled } from '../outside/e2e/client.ts'

const newer = await otherRuntime('Node 24')
const nodes = [
  { name: 'this Node', command: process.execPath },
  {
    name: `Node 24${newer.missing ? ` [skipped: ${newer.missing}]` : ''}`,
    command: newer.command?.[0],
  },
]

let program = ''
beforeAll(async () => {
  const input = join(import.meta.dirname, 'inherited-child.ts')
  const bundle = await rolldown({ input, platform: 'node' })
  program = join(await temporaryDirectory(), 'child.mjs')
  await bundle.write({ file: program, codeSplitting: false })
})

/** What the program under test says. */
interface Answer {
  readonly addresses: readonly [name: string, address: string, port: number][]
  readonly error: readonly [code: string, message: string] | null
  /** The sockets and variables that a child of the program has. */
  readonly child: string
}

async function start(
  [command, ...args]: readonly string[],
  env: Record<string, string> = {},
): Promise<Answer> {
  const child = spawn(command ?? '', args, {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: scrubbedEnvironment('/', env),
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  let said = ''
  child.stdout.setEncoding('utf8').on('data', (piece: string) => (said += piece))
  await waitFor('the program', () => (said.endsWith('\n') || child.exitCode !== null ? true : null))
  return JSON.parse(said) as Answer
}

/** What a server on this port answers. */
async function ask(host: string, port: number): Promise<string> {
  const socket = connect(port, host)
  await once(socket, 'connect')
  return text(socket)
}

const python = await notInstalled('python3')
describe.skipIf(python !== null)(`sockets that were handed over${python ?? ''}`, () => {
  describe.each(nodes)('to $name', ({ command }) => {
    test.skipIf(command === undefined || !hasIpv6Loopback())(
      'serve IPv4 and IPv6 by their names, and reach no child',
      async () => {
        const [one, two] = [await freePort(), await freePort()]
        const sockets = [
          ['tcp', '127.0.0.1', one],
          ['tcp', '::1', one],
          ['tcp', '127.0.0.1', two],
        ] as const
        const names = ['rootling-https', 'rootling-https', 'rootling-http']
        const answer = await start(handingOver(sockets, names, [command ?? '', program]))
        expect(answer).toEqual({
          addresses: [
            ['rootling-https', '127.0.0.1', one],
            ['rootling-https', '::1', one],
            ['rootling-http', '127.0.0.1', two],
          ],
          error: null,
          child: '',
        })
        expect(await ask('127.0.0.1', one)).toBe('rootling-https')
        expect(await ask('::1', one)).toBe('rootling-https')
        expect(await ask('127.0.0.1', two)).toBe('rootling-http')
      },
    )
  })

  const handed = async (
    kind: string,
    env: Record<string, string> = {},
    host = '127.0.0.1',
  ): Promise<Answer> => {
    const sockets = [[kind, host, await freePort()]] as const
    return start(handingOver(sockets, ['rootling-https'], [process.execPath, program]), env)
  }

  test('that are meant for another process are none, and its variables go', async () => {
    const answer = await handed('tcp', { LISTEN_PID: '1', LISTEN_PIDFDID: '1' })
    expect(answer).toEqual({ addresses: [], error: null, child: '' })
  })

  test.each([
    ['LISTEN_FDS', '0', 'LISTEN_FDS is "0", not between 1 and 64.'],
    ['LISTEN_FDS', '65', 'LISTEN_FDS is "65", not between 1 and 64.'],
    ['LISTEN_FDS', '1 ', 'LISTEN_FDS is "1 ", not between 1 and 64.'],
    ['LISTEN_FDS', '-1\n', 'LISTEN_FDS is "-1\uFFFD", not between 1 and 64.'],
    ['LISTEN_FDNAMES', 'a:b', 'LISTEN_FDNAMES has 2 names for 1 sockets.'],
  ])('are refused where %s is %j', async (name, value, sentence) => {
    const { addresses, error, child } = await handed('tcp', { [name]: value })
    expect({ addresses, error, child }).toEqual({
      addresses: [],
      error: ['listen-failed', sentence],
      child: '',
    })
  })

  test('are refused where they are none', async () => {
    expect(await handed('file')).toMatchObject({
      error: ['listen-failed', 'The descriptor 3 is no socket.'],
    })
    expect(await handed('tcp', { LISTEN_FDS: '2', LISTEN_FDNAMES: 'a:b' })).toMatchObject({
      error: ['listen-failed', 'The descriptor 4 is no socket.'],
    })
  })

  test('are refused where no server of TCP can listen on them', async () => {
    const sentence = (why: string): string =>
      `The inherited descriptor 3 cannot be listened on: ${why}.`
    expect(await handed('udp')).toMatchObject({
      error: ['listen-failed', sentence('listen EINVAL: invalid argument')],
    })
    const path = join(await temporaryDirectory(), 'socket')
    expect(await handed('unix', {}, path)).toMatchObject({
      error: ['listen-failed', sentence('it is no socket of TCP')],
    })
  })
})

const activator = 'systemd-socket-activate'
const activate = await notInstalled(activator)
test.skipIf(activate !== null)(
  `systemd’s own program hands sockets over${activate === null ? '' : ` [skipped: ${activate}]`}`,
  async () => {
    const port = await freePort()
    const listening = ['--listen', `127.0.0.1:${port}`, '--fdname', 'rootling-https']
    const child = spawn(activator, [...listening, process.execPath, program], {
      stdio: ['ignore', 'pipe', 'ignore'],
      env: scrubbedEnvironment('/'),
    })
    onTestFinished(() => void child.kill('SIGKILL'))
    // It starts the program at the first connection, which waits for it.
    const word = await waitFor('the program', () => ask('127.0.0.1', port).catch(() => null))
    expect(word).toBe('rootling-https')
  },
)
