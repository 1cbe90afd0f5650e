import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { freePort } from '../../helpers/free-port.ts'
import { startHttpsServer } from '../../helpers/https-server.ts'
import { run, start, terminate, waitFor } from '../../helpers/subprocess.ts'
import { missing, openInteropWorld, recipe, type InteropWorld } from './interop-world.ts'

let world: InteropWorld

beforeAll(async () => {
  world = await openInteropWorld()
  await world.shell(`${recipe('A private scope').join('')}
    cp "$(rootling ca path)" tls/local-root.pem
    rootling issue localhost 127.0.0.1 --cert-file tls/local.pem --key-file tls/local-key.pem`)
})

type Kind = 'local' | 'private'

interface Program {
  readonly name: string
  /** Why it cannot run here; `null`: it can. */
  readonly unavailable: string | null
  /** Connects to a server of this kind of scope, given its root. Returns what the program said. */
  readonly connect: (kind: Kind, port: number) => Promise<string>
  readonly accepts: RegExp
  /** What it says of the scope `local`. */
  readonly refuses: RegExp
  /** It refuses addresses alone. */
  readonly takesNames?: boolean
}

/** Compiles a client of a C library; `libraries`: the options for the linker. */
function inC(source: string, libraries: readonly string[]): Program['connect'] {
  return async (kind, port) => {
    const program = join(world.home, source)
    const file = join(import.meta.dirname, `${source}.c`)
    const built = await run('gcc', ['-o', program, file, ...libraries], world.env)
    if (built.exitCode !== 0) throw new Error(built.stderr)
    return (await run(program, [world.tls(`${kind}-root.pem`), String(port)], world.env)).stdout
  }
}

/** A recipe, with this world's home, this port and this kind of scope. */
const filled = (text: string, kind: Kind, port: number): string =>
  text
    .replaceAll('/home/you', world.home)
    .replaceAll('8443', String(port))
    .replaceAll('/private', `/${kind}`)

async function byErlang(kind: Kind, port: number): Promise<string> {
  const [call = ''] = recipe('Erlang/OTP as a client').map((text) => filled(text, kind, port))
  const script = `application:ensure_all_started(ssl), io:format("~p", [${call}]), halt().`
  const { stdout, stderr } = await run('erl', ['-noshell', '-eval', script], world.env)
  return stdout + stderr
}

// Not from Debian: it may be anywhere in the PATH of whoever runs the tests.
const path = process.env['PATH']?.split(delimiter) ?? []
const bun =
  path.map((directory) => join(directory, 'bun')).find((file) => existsSync(file)) ?? 'bun'

async function byBun(kind: Kind, port: number): Promise<string> {
  const [script = ''] = recipe('Bun').map((text) => filled(text, kind, port))
  const { stdout, stderr } = await run(bun, ['-e', script], world.env)
  return stdout + stderr
}

/** Two OpenVPNs without a tunnel; only the certificate of the server differs. */
async function byOpenvpn(kind: Kind): Promise<string> {
  const port = await freePort()
  const [server = '', client = ''] = recipe('OpenVPN').map((text) => filled(text, kind, port))
  const common = 'dev null\nverb 3\nifconfig-noexec\n'
  const files = {
    server: world.tls(`${kind}-server.conf`),
    client: world.tls(`${kind}-client.conf`),
  }
  const serving = `tls-server\ndh none\nproto tcp-server\nlocal 127.0.0.1\nlport ${port}\n`
  const asking = `tls-client\nproto tcp-client\nremote 127.0.0.1 ${port}\nnobind\nconnect-retry 1\n`
  await writeFile(files.server, common + serving + server)
  await writeFile(files.client, common + asking + client)
  let log = ''
  for (const file of [files.server, files.client]) {
    const child = start('openvpn', ['--config', file], world.env)
    onTestFinished(() => (child.exitCode === null ? terminate(child) : undefined))
    child.stdout.setEncoding('utf8').on('data', (text: string) => (log += text))
  }
  return waitFor('OpenVPN', () => (/VERIFY ERROR|Peer Connection Initiated/.test(log) ? log : null))
}

const programs: readonly Program[] = [
  {
    name: 'mbedTLS',
    unavailable: missing('/usr/include/mbedtls/ssl.h', '/usr/bin/gcc'),
    connect: inC('mbedtls', ['-lmbedtls', '-lmbedx509', '-lmbedcrypto']),
    accepts: /^accepted/,
    refuses: /^refused: X509 .*extension/i,
  },
  {
    name: 'wolfSSL',
    unavailable: missing('/usr/include/wolfssl/ssl.h', '/usr/bin/gcc'),
    connect: inC('wolfssl', ['-lwolfssl']),
    accepts: /^accepted/,
    refuses: /^refused: .*\(-1[89]8\)/,
  },
  {
    name: 'Erlang/OTP',
    unavailable: missing('/usr/bin/erl', '/usr/share/doc/erlang-ssl'),
    connect: byErlang,
    accepts: /^\{ok,/,
    refuses: /unexpected_error,function_clause|name_not_permitted/,
    takesNames: true,
  },
  {
    name: 'Bun',
    unavailable: missing(bun),
    connect: byBun,
    accepts: /^200/,
    refuses: /unsupported name constraint type/,
    takesNames: true,
  },
  {
    name: 'OpenVPN',
    unavailable: missing('/usr/sbin/openvpn'),
    connect: byOpenvpn,
    accepts: /VERIFY OK.*Peer Connection Initiated/s,
    refuses: /VERIFY ERROR: could not extract CN/,
  },
]

const note = (reason: string | null): string => (reason === null ? '' : ` [skipped: ${reason}]`)

/** What a program says of a server that shows this certificate of `~/tls`. */
async function verdict({ connect }: Program, kind: Kind, file: string = kind): Promise<string> {
  const [cert, key] = await Promise.all(
    [`${file}.pem`, `${file}-key.pem`].map((name) => readFile(world.tls(name))),
  )
  const server = await startHttpsServer({ cert, key }, 'hello')
  onTestFinished(() => server.close())
  return connect(kind, server.port)
}

describe.each(programs)('$name', (program) => {
  const { unavailable, accepts, refuses } = program
  test.skipIf(unavailable !== null)(
    `refuses the scope that stores trust, and accepts a private one${note(unavailable)}`,
    async () => {
      expect(await verdict(program, 'local')).toMatch(refuses)
      expect(await verdict(program, 'private')).toMatch(accepts)
    },
  )
})

const byName = programs.filter(({ takesNames }) => takesNames === true)

test.each(byName.filter(({ unavailable }) => unavailable === null))(
  '$name accepts the scope that stores trust where the certificate holds no address',
  async (program) => {
    expect(await verdict(program, 'local', 'localhost')).toMatch(program.accepts)
  },
)

const noGpgsm = missing('/usr/bin/gpgsm', '/usr/bin/openssl')
test.skipIf(noGpgsm !== null)(
  `gpgsm refuses the scope that stores trust, and accepts that of mail${note(noGpgsm)}`,
  async () => {
    onTestFinished(async () => void (await world.bash('gpgconf --kill all')))
    const [script = ''] = recipe('gpgsm')
    const mail = await world.shell(script)
    expect(mail).toContain('alice@example.test')
    expect(mail).not.toContain('bad')
    const local = await world.shell(
      script
        .replace(/^rootling.*$/m, '')
        .replaceAll('ca path mail', 'ca path local')
        .replaceAll('mail.pem', 'local.pem'),
    )
    expect(local).toMatch(/critical/)
  },
)
