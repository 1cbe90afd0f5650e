import { writeFile } from 'node:fs/promises'
import { readdirSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import {
  certificateFaults,
  ephemeralAuthority,
  type ClientFault,
} from '../../src/ephemeral/index.ts'
import { scrubbedEnvironment } from '../helpers/scrubbed.ts'
import { run } from '../helpers/subprocess.ts'
import { temporaryDirectory } from '../helpers/temporary.ts'
import { hasTool, opensslVerdicts, runTool } from '../helpers/tools.ts'
import { documentedRefusals } from './documented.ts'
import { serve } from './visit.ts'

// What other programs say of an authority in memory.

const ca = await ephemeralAuthority()
const split = (chain: string): [leaf: string, rest: string] => {
  const end = chain.indexOf('-----END CERTIFICATE-----\n') + 26
  return [chain.slice(0, end), chain.slice(end)]
}

const refusals = documentedRefusals()

async function verdict(
  { cert }: { readonly cert: string },
  args: readonly string[],
  crls: readonly string[],
): Promise<string | null> {
  const directory = await temporaryDirectory()
  const lists = join(directory, 'crls.pem')
  await writeFile(lists, crls.join(''))
  const check = crls.length === 0 ? [] : ['-crl_check_all', '-CRLfile', lists]
  const [leaf, intermediate] = split(cert)
  const chain = { root: ca.root, intermediate: intermediate || ca.root }
  const [said = null] = await opensslVerdicts(directory, chain, [leaf], [...args, ...check])
  return said
}

test.each(certificateFaults)('openssl verify refuses a certificate for %s', async (fault) => {
  const server = ['-purpose', 'sslserver', '-verify_hostname', 'localhost']
  const bad = await ca.certificate('localhost', { fault })
  const crls = fault === 'revoked' ? await ca.crls() : []
  expect(await verdict(bad, server, crls)).toBe(refusals[fault].openssl)
  expect(await verdict(await ca.certificate(), server, await ca.crls())).toBeNull()
})

test.each(certificateFaults.filter((one): one is ClientFault => one !== 'wrong-name'))(
  'openssl verify refuses a client’s certificate for %s',
  async (fault) => {
    const client = ['-purpose', 'sslclient']
    const bad = await ca.clientCertificate('ada', { fault })
    const crls = fault === 'revoked' ? await ca.crls() : []
    expect(await verdict(bad, client, crls)).toBe(refusals[fault].openssl)
    const good = await ca.clientCertificate('ada@example.com')
    expect(await verdict(good, client, await ca.crls())).toBeNull()
    // The other way round, each is refused for its purpose.
    expect(await verdict(good, ['-purpose', 'sslserver'], [])).toMatch(/purpose/)
  },
)

test.each(['p256', 'p384', 'rsa2048', 'ed25519'] as const)(
  'openssl verify accepts a key of type %s, as it reads it',
  async (keyType) => {
    const certificate = await ca.certificate('localhost', { keyType })
    expect(await verdict(certificate, ['-purpose', 'sslserver'], [])).toBeNull()
    const [leaf] = split(certificate.cert)
    const ofKey = await runTool('openssl', ['pkey', '-pubout'], certificate.key)
    const ofLeaf = await runTool('openssl', ['x509', '-pubkey', '-noout'], leaf)
    expect(ofKey.stdout).toContain('PUBLIC KEY')
    expect(ofKey.stdout).toBe(ofLeaf.stdout)
  },
)

test.each(['p384', 'rsa2048', 'ed25519'] as const)(
  'openssl verify accepts a root of type %s',
  async (keyType) => {
    const { root, certificate } = await ephemeralAuthority({ keyType })
    const [leaf, intermediate] = split((await certificate()).cert)
    const directory = await temporaryDirectory()
    expect(await opensslVerdicts(directory, { root, intermediate }, [leaf])).toEqual([null])
  },
)

test.skipIf(!(await hasTool('curl'))).each(certificateFaults)(
  'curl refuses a server for %s',
  async (fault) => {
    const bad = await ca.certificate('localhost', { fault })
    const good = await ca.certificate()
    await using files = await good.files()
    const lists = join(await temporaryDirectory(), 'crls.pem')
    await writeFile(lists, (await ca.crls()).join(''))
    const args = [
      '-sS',
      '--cacert',
      files.caPath,
      ...(fault === 'revoked' ? ['--crlfile', lists] : []),
    ]
    const visit = async (port: number) => runTool('curl', [...args, `https://localhost:${port}/`])
    const refused = await visit(await serve(bad))
    expect(refused).toMatchObject({
      exitCode: 60,
      stderr: expect.stringContaining(refusals[fault].curl),
    })
    expect(await visit(await serve(good))).toMatchObject({ exitCode: 0, stdout: 'hello' })
  },
)

const children: readonly (readonly [program: string, ...args: string[]])[] = [
  ['curl', '-sS', 'URL'],
  ['python3', '-c', 'import urllib.request as u; print(u.urlopen("URL").read().decode())'],
  ['git', 'ls-remote', 'URL/x.git'],
]

test.each(children)('environment() makes a child trust the root: %s', async (program, ...args) => {
  if (!(await hasTool(program))) return
  const port = await serve(await ca.certificate())
  const filled = args.map((arg) => arg.replace('URL', `https://localhost:${port}`))
  const scrubbed = scrubbedEnvironment(homedir(), { GIT_TERMINAL_PROMPT: '0' })
  const untrusting = await run(program, filled, scrubbed)
  expect(untrusting.exitCode).not.toBe(0)
  expect(untrusting.stderr).toMatch(/certificate/i)
  await using environment = await ca.environment(scrubbed)
  const trusting = await run(program, filled, { ...scrubbed, ...environment.variables })
  expect(trusting).toMatchObject({ exitCode: 0, stderr: '' })
  // There is no repository for git.
  if (program !== 'git') expect(trusting.stdout).toContain('hello')
})

test('environment() keeps the roots that a variable named before, and deletes its files', async () => {
  const other = await ephemeralAuthority()
  await using files = await (await other.certificate()).files()
  const [port, otherPort] = [
    await serve(await ca.certificate()),
    await serve(await other.certificate()),
  ]
  const base = scrubbedEnvironment(homedir(), { NODE_EXTRA_CA_CERTS: files.caPath })
  const directory = await temporaryDirectory()
  process.env['TMPDIR'] = directory
  onTestFinished(() => void delete process.env['TMPDIR'])
  const environment = await ca.environment(base)
  expect(readdirSync(directory)).toHaveLength(1)
  const script = `
    for (const port of [${port}, ${otherPort}])
      console.log(await fetch('https://localhost:' + port).then((r) => r.text(), () => 'refused'))`
  const node = ['--input-type=module', '-e', script]
  const before = await run(process.execPath, node, base)
  expect(before.stdout).toBe('refused\nhello\n')
  const after = await run(process.execPath, node, { ...base, ...environment.variables })
  expect(after.stdout).toBe('hello\nhello\n')
  await environment.dispose()
  expect(readdirSync(directory)).toEqual([])
})
