import { chmodSync, readFileSync, writeFileSync } from 'node:fs'
import { connect, createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { buildGo } from '../helpers/go-program.ts'
import { openHome, type Home } from '../helpers/home.ts'
import { knowsMlKem, postQuantumNode } from '../helpers/post-quantum-node.ts'
import { hasTool, runTool } from '../helpers/tools.ts'

// Each server is the built `rootling serve`, and each client gets its demo page as JSON.

const { node: modern, missing } = await postQuantumNode()
const without = missing === null ? '' : ` [skipped: ${missing}]`
const own = process.execPath
const ownKnows = knowsMlKem(process.versions.openssl)
const [postQuantum, classic] = ['X25519MLKEM768', 'X25519'] as const

interface Client {
  readonly name: string
  readonly knows: boolean
  readonly missing?: string | null
  /** Gets the page at localhost with the root in a file; returns what the client printed. */
  readonly ask: (port: number, root: string, home: Home) => Promise<string>
}

const clients: Client[] = [
  { name: 'this Node', knows: ownKnows, ask: (port, root) => askWithNode(own, port, root) },
  {
    name: 'a Node with OpenSSL 3.5',
    knows: true,
    missing,
    ask: (port, root) => askWithNode(modern ?? '', port, root),
  },
  {
    ...(await tool('openssl', ['version'], /^OpenSSL (\S+)/, knowsMlKem)),
    ask: (port, root) => {
      const args = ['-connect', `127.0.0.1:${port}`, '-servername', 'localhost', '-CAfile', root]
      return must('openssl', ['s_client', '-quiet', '-verify_return_error', ...args], request)
    },
  },
  {
    ...(await tool('curl', ['--version'], /OpenSSL\/(\S+)/, knowsMlKem)),
    ask: (port, root) =>
      must('curl', ['-sS', '--cacert', root, '-H', accept, `https://localhost:${port}/`]),
  },
  {
    ...(await tool('go', ['version'], /go(1\.\d+)/, (version) => Number(version.slice(2)) >= 24)),
    async ask(port, root, { directory }) {
      const program = await buildGo(join(import.meta.dirname, 'get-group.go'), directory)
      return must(program, [`127.0.0.1:${port}`, root])
    },
  },
]

const accept = 'Accept: application/json'
const request = `GET / HTTP/1.1\r\nHost: localhost\r\n${accept}\r\nConnection: close\r\n\r\n`

describe('every client agrees with the server on the best group that both know', () => {
  for (const [server, node, knows] of [
    [`under this Node (OpenSSL ${process.versions.openssl})`, own, ownKnows],
    [`under a Node with OpenSSL 3.5${without}`, modern, true],
  ] as const)
    for (const client of clients) {
      const group = knows && client.knows ? postQuantum : classic
      const why = client.missing ? ` [skipped: ${client.missing}]` : ''
      test.skipIf(node === null || why !== '')(
        `${client.name}${why} and a server ${server}: ${group}`,
        async () => {
          const { home, port, root } = await serve(node ?? '')
          const printed = await client.ask(port, root, home)
          expect(factsIn(printed)).toMatchObject({
            group,
            groupsOffered: [...(knows ? [postQuantum] : []), classic, 'P-256'],
          })
        },
      )
    }
})

describe.skipIf(modern === null)(`a server under a Node with OpenSSL 3.5${without}`, () => {
  test.each([
    { client: 'all groups', groups: undefined, group: postQuantum, retried: false },
    { client: 'X25519 alone', groups: 'X25519', group: classic, retried: false },
    { client: 'P-256 alone', groups: 'P-256', group: 'P-256', retried: false },
    { client: 'P-256 before X25519', groups: 'P-256:X25519', group: 'P-256', retried: false },
    {
      client: 'X25519 before X25519MLKEM768',
      groups: 'X25519:X25519MLKEM768',
      group: postQuantum,
      retried: true,
    },
  ])(
    'agrees with a client that offers $client on $group; asked to try again: $retried',
    async ({ groups, group, retried }) => {
      const { port, root } = await serve(modern ?? '')
      const tapped = await tap(port)
      const printed = await askWithNode(modern ?? '', tapped.port, root, groups)
      expect(factsIn(printed)).toMatchObject({ group })
      expect(tapped.askedToRetry()).toBe(retried)
    },
  )

  test('answers HTTP/2, TLS 1.2 and names on demand', async () => {
    const { home, port, root } = await serve(modern ?? '', '--on-demand', '--tls-min=1.2')
    const curl = (host: string, ...args: string[]) =>
      must('curl', [
        ...['-sS', '--cacert', root, '-H', accept, '--connect-to', `::127.0.0.1:${port}`],
        ...args,
        `https://${host}/`,
      ])
    expect(factsIn(await curl('localhost', '--http2'))).toMatchObject({ http: 'HTTP/2' })
    expect(
      factsIn(await curl('localhost', '--tls-max', '1.2', '--curves', 'X25519:P-256')),
    ).toMatchObject({ protocol: 'TLSv1.2', group: classic })
    expect(factsIn(await curl('shop.app.localhost'))).toMatchObject({
      serverName: 'shop.app.localhost',
    })
    const got = await home.rootling(['get', '-v', `https://localhost:${port}/`])
    expect(got).toMatchObject({ exitCode: 0 })
    // Node 22 names no group with ML-KEM to a client.
    expect(got.stderr).toMatch(/^secured by {4}TLSv1\.3, TLS_\w+(?:, X25519MLKEM768)?$/m)
    expect(got.stdout).toMatch(/^ {2}Key exchange +X25519MLKEM768$/m)
  })
})

for (const [name, node] of [
  ['this Node', own],
  [`a Node with OpenSSL 3.5${without}`, modern],
] as const)
  test.skipIf(node === null)(
    `an openssl.cnf that names other groups stops no server under ${name}`,
    async () => {
      const { directory } = openHome()
      const [config, program] = [join(directory, 'openssl.cnf'), join(directory, 'node')]
      writeFileSync(
        config,
        'nodejs_conf = a\n[a]\nssl_conf = b\n[b]\nsystem_default = c\n[c]\nGroups = P-384\n',
      )
      writeFileSync(program, `#!/bin/sh\nexec '${node}' '--openssl-config=${config}' "$@"\n`)
      chmodSync(program, 0o755)
      // Proves that the file is read: a client without groups of its own offers P-384 alone.
      const { port, root } = await serve(own)
      await expect(askWithNode(program, port, root)).rejects.toThrow('expected')
      const restricted = await serve(program)
      const printed = await askWithNode(own, restricted.port, restricted.root, 'X25519')
      expect(factsIn(printed)).toMatchObject({ group: classic })
    },
  )

/** Starts `rootling serve` under this Node, with an authority of its own. */
async function serve(node: string, ...args: string[]) {
  const home = openHome(node)
  const root = await home.createAuthority()
  const { url } = await home.serve(args)
  return { home, root, port: Number(new URL(url).port) }
}

function askWithNode(node: string, port: number, root: string, groups?: string): Promise<string> {
  const script = `
    const [port, ca, ecdhCurve, request] = JSON.parse(process.argv[1])
    const options = { port, host: '127.0.0.1', servername: 'localhost', ca }
    if (ecdhCurve) options.ecdhCurve = ecdhCurve
    const socket = require('node:tls').connect(options)
    socket.write(request)
    socket.pipe(process.stdout)`
  const given = [port, readFileSync(root, 'utf8'), groups, request]
  return must(node, ['-e', script, JSON.stringify(given)])
}

async function must(program: string, args: string[], input = ''): Promise<string> {
  const { exitCode, stdout, stderr } = await runTool(program, args, input)
  expect({ program, exitCode, stderr }).toMatchObject({ exitCode: 0 })
  return stdout
}

/** The name with its version, which says whether a program of this machine knows ML-KEM. */
async function tool(
  program: string,
  args: string[],
  pattern: RegExp,
  isNew: (version: string) => boolean,
): Promise<Pick<Client, 'name' | 'knows' | 'missing'>> {
  if (!(await hasTool(program)))
    return { name: program, knows: false, missing: `${program} is not installed` }
  const version = pattern.exec(await must(program, args))?.[1] ?? '0'
  return { name: `${program} (${version})`, knows: isNew(version), missing: null }
}

/** The JSON in what a client printed, which may begin with the head of the answer. */
function factsIn(printed: string): unknown {
  return JSON.parse(printed.slice(printed.indexOf('{')))
}

/** The random value that makes a ServerHello a HelloRetryRequest (RFC 8446 §4.1.3). */
const retryRandom = Buffer.from(
  'cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c',
  'hex',
)

/** A relay to a server on this machine that sees whether the server asks for another ClientHello. */
async function tap(target: number) {
  const sent: Buffer[] = []
  const relay = createServer((client) => {
    const server = connect(target, '127.0.0.1')
    server.on('data', (chunk: Buffer) => sent.push(chunk))
    for (const socket of [client, server]) socket.on('error', () => {})
    client.pipe(server).pipe(client)
  })
  await new Promise<void>((resolve) => relay.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void relay.close())
  return {
    port: (relay.address() as AddressInfo).port,
    askedToRetry: () => Buffer.concat(sent).includes(retryRandom),
  }
}
