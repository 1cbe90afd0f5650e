import { X509Certificate } from 'node:crypto'
import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { builtPrograms } from '../../helpers/built.ts'
import { scrubbedEnvironment } from '../../helpers/scrubbed.ts'
import { run } from '../../helpers/subprocess.ts'
import { createSide, mkcertMissing, realMkcert, type Side } from './both.ts'
import { lines } from './lines.ts'

const reason = mkcertMissing()
const titled = lines.map((line) => ({ ...line, line: line.args.join(' ') }))

describe.skipIf(reason !== null)(`a line of mkcert’s${reason ? ` (${reason})` : ''}`, () => {
  const built = builtPrograms()
  let theirs: Side
  let ours: Side
  let given: string

  beforeAll(async () => {
    theirs = createSide(realMkcert)
    ours = createSide(built.mkcert)
    given = theirs.directory()
    await makeRequests(given)
  })
  afterAll(() => {
    theirs.remove()
    ours.remove()
  })

  test('makes a CA first', async () => {
    for (const side of [theirs, ours]) {
      const { exitCode, stderr } = await side.run(['localhost'], side.directory())
      expect([exitCode, stderr]).toEqual([0, expect.stringContaining('Created a new local CA 💥')])
    }
  })

  test.for(titled.filter(({ differs }) => differs === undefined))(
    'does the same: mkcert $line',
    async ({ args }) => {
      const theirsDid = await theirs.observe(args, given)
      expect(await ours.observe(args, given)).toEqual(theirsDid)
    },
  )

  test.for(titled.filter(({ differs }) => differs !== undefined))(
    'differs: mkcert $line',
    async ({ args, differs }) => {
      const theirsDid = await theirs.observe(args, given)
      const oursDid = await ours.observe(args, given)
      expect(oursDid).toEqual({ ...theirsDid, ...differs?.ours })
      expect(oursDid, 'the difference is gone: drop it from the table').not.toEqual(theirsDid)
    },
  )

  test('prints the directory, the help and the version on stdout', async () => {
    for (const side of [theirs, ours]) {
      const cwd = side.directory()
      expect((await side.run(['-CAROOT'], cwd)).stdout).toBe(`${side.caroot}\n`)
      expect((await side.run(['-help'], cwd)).stdout).toMatch(/^Usage of/)
      expect((await side.run([], cwd)).stdout).toMatch(/^Usage of/)
      expect((await side.run(['-version'], cwd)).stdout).toMatch(/^1\.4\.4\b/)
      expect((await side.run(['-nonsense'], cwd)).stderr).toMatch(
        /^flag provided but not defined: -nonsense\nUsage of/,
      )
    }
  })

  test('ends on the same day, within what Apple accepts', async () => {
    const [theirEnd, ourEnd] = await Promise.all([theirs, ours].map(endOf))
    expect(Math.abs((theirEnd ?? 0) - (ourEnd ?? 0))).toBeLessThan(86_400_000)
  })

  async function endOf(side: Side): Promise<number> {
    const cwd = side.directory()
    const { stderr } = await side.run(['end.test'], cwd)
    const { validFrom, validTo } = new X509Certificate(readFileSync(join(cwd, 'end.test.pem')))
    const said = /It will expire on (.+) 🗓/.exec(stderr)?.[1] ?? ''
    expect(Math.abs(Date.parse(`${said} UTC`) - Date.parse(validTo))).toBeLessThan(86_400_000)
    expect(Date.parse(validTo) - Date.parse(validFrom)).toBeLessThan(825 * 86_400_000)
    return Date.parse(validTo)
  }

  test('names the command that permits a name outside, for the CA that was meant', async () => {
    const { exitCode, stderr } = await ours.run(['dev.example.com'], ours.directory())
    expect(exitCode).toBe(1)
    expect(stderr).toContain(`ROOTLING_HOME=${ours.caroot} rootling ca permit dev.example.com`)
  })

  test('closes a directory that others can write to before a CA is made there, not after', async () => {
    const side = createSide(built.mkcert)
    try {
      mkdirSync(side.caroot)
      chmodSync(side.caroot, 0o775)
      const first = await side.run(['shop.test'], side.directory())
      expect([first.exitCode, first.stderr]).toEqual([0, expect.stringContaining('only you can')])
      expect(statSync(side.caroot).mode & 0o777).toBe(0o755)
      chmodSync(side.caroot, 0o775)
      const second = await side.run(['shop.test'], side.directory())
      expect([second.exitCode, second.stderr]).toEqual([1, expect.stringContaining('chmod 700')])
    } finally {
      side.remove()
    }
  })

  test('replaces what stands at the output paths, as mkcert does', async () => {
    for (const side of [theirs, ours]) {
      const cwd = side.directory()
      for (const other of [theirs, ours])
        expect(
          (await other.run(['-cert-file', 'c', '-key-file', 'k', 'a.test'], cwd)).exitCode,
        ).toBe(0)
      expect((await side.run(['-cert-file', 'c', '-key-file', 'k', 'b.test'], cwd)).exitCode).toBe(
        0,
      )
      expect(new X509Certificate(readFileSync(join(cwd, 'c'))).subjectAltName).toBe('DNS:b.test')
    }
  })

  test('keeps the root for tools at rootCA.pem, and no root key anywhere', async () => {
    const { caroot } = ours
    const files = readdirSync(caroot, { recursive: true }).map(String)
    expect(files).toContain('rootCA.pem')
    expect(files.filter((file) => file.includes('rootCA-key'))).toEqual([])
    expect(statSync(join(caroot, 'rootCA.pem')).mode & 0o777).toBe(0o644)
    const cwd = ours.directory()
    await ours.run(['check.test'], cwd)
    await theirs.run(['-cert-file', 'theirs.pem', '-key-file', 'theirs.key', 'check.test'], cwd)
    expect(readFileSync(join(cwd, 'theirs.pem'), 'utf8').match(/BEGIN CERT/g)).toHaveLength(1)
    const chain = readFileSync(join(cwd, 'check.test.pem'), 'utf8')
    expect(chain.match(/BEGIN CERTIFICATE/g), 'leaf and intermediate').toHaveLength(2)
    const verify = ['verify', '-CAfile', join(caroot, 'rootCA.pem'), '-untrusted', 'check.test.pem']
    const args = [`--chdir=${cwd}`, 'openssl', ...verify, '-verify_hostname']
    const openssl = (host: string) =>
      run('env', [...args, host, 'check.test.pem'], scrubbedEnvironment(cwd))
    expect((await openssl('check.test')).exitCode).toBe(0)
    expect((await openssl('other.test')).exitCode).not.toBe(0)
  })

  test('writes a .p12 that OpenSSL opens with mkcert’s password, and with no other', async () => {
    for (const side of [theirs, ours]) {
      const cwd = side.directory()
      await side.run(['-pkcs12', 'p.test'], cwd)
      const open = (password: string) =>
        run(
          'openssl',
          [
            'pkcs12',
            '-in',
            join(cwd, 'p.test.p12'),
            '-legacy',
            '-info',
            '-nodes',
            '-passin',
            `pass:${password}`,
          ],
          scrubbedEnvironment(cwd),
        )
      const { exitCode, stdout } = await open('changeit')
      expect([exitCode, stdout]).toEqual([0, expect.stringContaining('PRIVATE KEY')])
      expect((await open('changeit')).stderr, 'the old encryption').toContain('TripleDES')
      expect((await open('changed')).exitCode).not.toBe(0)
    }
  })

  test('refuses a kind of store that there is not, where mkcert installs nothing and says 0', async () => {
    const env = { TRUST_STORES: 'sistem' }
    const theirsDid = await theirs.run(['-install'], theirs.directory(), env)
    expect([theirsDid.exitCode, theirsDid.stderr.trim()]).toEqual([0, ''])
    const { exitCode, stderr } = await ours.run(['-install'], ours.directory(), env)
    expect([exitCode, stderr]).toEqual([1, expect.stringContaining('"sistem"')])
  })
})

/** Requests: for two names, for a common name alone, and one that asks to be a CA. */
async function makeRequests(directory: string): Promise<void> {
  const requests = {
    'good.csr': ['/CN=one.test', 'subjectAltName=DNS:one.test,DNS:two.test'],
    'bare.csr': ['/CN=bare.test'],
    'ca.csr': [
      '/CN=evil.test',
      'basicConstraints=critical,CA:TRUE',
      'subjectAltName=DNS:evil.test',
    ],
  }
  for (const [file, [subject = '', ...extensions]] of Object.entries(requests)) {
    const args = ['req', '-new', '-newkey', 'rsa:2048', '-nodes', '-subj', subject]
    const added = extensions.flatMap((extension) => ['-addext', extension])
    const files = ['-keyout', join(directory, `${file}.key`), '-out', join(directory, file)]
    const { exitCode, stderr } = await run(
      'openssl',
      [...args, ...added, ...files],
      scrubbedEnvironment(directory),
    )
    if (exitCode !== 0) throw new Error(stderr)
  }
}
