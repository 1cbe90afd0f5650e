import { createPrivateKey } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { command, ensureBuilt } from '../../helpers/built.ts'
import { rootlingIn, type Rootling } from '../../helpers/rootling.ts'
import { notInstalled } from '../e2e/client.ts'
import { namespaceUnavailable, openNamespace, type Namespace } from '../../helpers/namespace.ts'

// One whole run under strace: what every process was given, and every file that was made.

const missing = await Promise.all(['strace', 'certutil', 'pk12util', 'openssl'].map(notInstalled))
const obstacle = namespaceUnavailable() ?? missing.find((reason) => reason !== null) ?? null
const skipNote = obstacle === null ? '' : ` [skipped: ${obstacle}]`

/** Passwords that stand in files alone. */
const password = 'correct-horse-battery'
const passphrase = 'staple-of-the-key'

/** A file that strace saw opened for writing, or made. */
interface Opened {
  readonly path: string
  readonly flags: string
  readonly mode: number
}

describe.skipIf(obstacle !== null)(`a whole run${skipNote}`, () => {
  let namespace: Namespace
  let rootling: Rootling
  let said = ''
  let trace = ''
  const secrets = new Set<string>()

  const at = (name: string) => `${namespace.home}/${name}`

  async function traced(...args: string[]) {
    const log = at('strace.log')
    const watch = ['-f', '-v', '-s', '100000', '-e', 'trace=execve,openat,open,creat,mkdir,mkdirat']
    const line = [...watch, '-o', log, process.execPath, command, ...args]
    // umask 000: what is private is so by our own hand.
    const script = 'umask 000; cd "$HOME"; exec strace "$@"'
    const finished = await namespace.run('sh', ['-c', script, 'sh', ...line])
    said += finished.stdout + finished.stderr
    trace += await namespace.readFile(log)
    return finished
  }

  beforeAll(async () => {
    ensureBuilt()
    namespace = await openNamespace()
    rootling = rootlingIn(namespace)
    await namespace.must('mkdir', ['-p', at('.pki/nssdb')])
    await namespace.must('certutil', ['-N', '-d', `sql:${at('.pki/nssdb')}`, '--empty-password'])
    await namespace.writeFile(at('pw'), `${password}\n`)
    await namespace.writeFile(at('pp'), `${passphrase}\n`)
    const client = ['issue', '--client', 'al@mail.test', '--pkcs12', '--password-file', 'pw']
    const runs = [
      await traced('install', '--yes', '--stores', 'nss,system'),
      await traced(
        'issue',
        'localhost',
        '--full',
        '--der',
        '--chain-file',
        'c.pem',
        '--on-renew',
        'env > "$HOME/hook.txt"',
      ),
      await traced(...client),
      await traced('issue', 'enc.test', '--encrypt-key', '--password-file', 'pp'),
      await traced('install-client', 'al@mail.test-client.p12', '--password-file', 'pw'),
      await traced('renew', '--all', '--rekey'),
      await traced('renew', '--all'),
      await traced('show', 'localhost.pem'),
      await traced('list', '--json'),
      await traced('status', '--json'),
      await traced(
        'issue',
        'broken.test',
        '--encrypt-key',
        '--password-file',
        'pp',
        '--out-dir',
        '/proc/x',
      ),
      await traced('install-client', 'localhost.pem', '--password-file', 'pw'),
    ]
    runs.slice(0, 5).forEach(({ exitCode, stderr }, i) => {
      if (exitCode !== 0) throw new Error(`run ${i} failed: ${stderr}`)
    })
    secrets.add(password).add(passphrase)
    const find = ['sh', ['-c', 'find "$HOME" -name "*key.pem" -o -name "*full.pem"']] as const
    for (const path of (await namespace.must(...find)).stdout.trim().split('\n')) {
      const text = (await namespace.readFile(path)) ?? ''
      for (const [body] of text.matchAll(/-----BEGIN PRIVATE KEY-----[^-]+-----END[^-]+-----/g)) {
        const { d = '' } = createPrivateKey(body).export({ format: 'jwk' })
        secrets.add(d).add(Buffer.from(d, 'base64url').toString('hex'))
        secrets.add(body.split('\n')[1] ?? '').add(body.split('\n')[2] ?? '')
      }
    }
  })
  afterAll(() => namespace?.close())

  test('gives no program a secret in its arguments or its environment', () => {
    const started = trace.split('\n').filter((line) => line.includes('execve('))
    const programs = started.join('\n')
    // The watch sees what it is to see: the tools, with all that they were given.
    for (const seen of ['certutil', 'pk12util', 'update-ca-certificates', '"HOME=', 'LC_ALL=C'])
      expect(programs).toContain(seen)
    expect(secrets.size).toBeGreaterThan(8)
    expect([...secrets].filter((secret) => secret === '' || programs.includes(secret))).toEqual([])
  })

  test('prints no secret, in good and in bad cases', () => {
    expect(said).toContain('Issued for')
    expect(said).toContain('Error:')
    expect([...secrets].filter((secret) => said.includes(secret))).toEqual([])
  })

  /** What is ours; what certutil makes in its database, and the system's tools, is theirs. */
  function opened(): Opened[] {
    const call = /open(?:at)?\((?:AT_FDCWD, )?"([^"]*)", ([A-Z_|]+)(?:, (0\d+))?\) += \d/g
    return [...trace.matchAll(call)]
      .map(([, path = '', flags = '', mode = '0']) => ({ path, flags, mode: parseInt(mode, 8) }))
      .filter(({ path, flags }) => /O_WRONLY|O_RDWR|O_CREAT/.test(flags) && !/nssdb/.test(path))
      .filter(({ path }) => /rootling|localhost|mail\.test|enc\.test|c\.pem/.test(path))
      .filter(({ path }) => !/strace|hook\.txt|\/etc\/ssl|ca-certificates/.test(path))
  }

  test('makes every file anew under a name that nobody could have taken, and the secret ones for one user', () => {
    const made = opened().filter(({ flags }) => flags.includes('O_CREAT'))
    const paths = made.map(({ path }) => path)
    for (const seen of [
      /intermediate-key\.pem/,
      /localhost-key\.pem/,
      /\.p12/,
      /full\.pem/,
      /jsonl/,
      /lock$/,
    ])
      expect(paths.filter((path) => seen.test(path))).not.toEqual([])
    // The record and the locks are opened again and again; both are 0600, behind no link.
    const again = /\/(?:certificates\.jsonl|lock|kept\.lock|stores\.lock)$/
    const loose = made.filter(({ path, flags }) => !again.test(path) && !/O_EXCL/.test(flags))
    expect(loose).toEqual([])
    const followed = made.filter(({ path, flags }) => again.test(path) && !/O_NOFOLLOW/.test(flags))
    expect(followed).toEqual([])
    // Everything but what is public: certificates, lists, answers, the scope's description, the tag.
    const open = made.filter(({ mode }) => (mode & 0o077) !== 0).map(({ path }) => path)
    const secret = open.filter((path) =>
      /key\.pem|full\.pem|\.p12|jsonl|pending|lock|password/.test(path),
    )
    expect(secret).toEqual([])
    expect(
      open.filter(
        (path) =>
          !/\.pem|\.crl|\.ocsp|\.der|\.crt|scope\.json|CACHEDIR\.TAG|crl-number|policies\.json|\/input$|chunks\/compiled/.test(
            path,
          ),
      ),
    ).toEqual([])
  })

  test('makes every directory of its own for one user', () => {
    const calls = [...trace.matchAll(/mkdir(?:at)?\((?:AT_FDCWD, )?"([^"]*)", (0\d+)\) += 0/g)]
    const own = calls.filter(([, path = '']) => /\/rootling(?:\/|$|-)/.test(path))
    expect(own.length).toBeGreaterThan(3)
    expect(own.filter(([, , mode = '']) => (parseInt(mode, 8) & 0o077) !== 0)).toEqual([])
  })

  test('leaves no temporary file behind, anywhere', async () => {
    const places = [
      'sh',
      ['-c', 'find "$HOME" "$TMPDIR" -name "*rootling-*" -o -name "*tmp-*"'],
    ] as const
    expect((await namespace.must(...places)).stdout).toBe('')
    expect((await rootling.run(['list'])).exitCode).toBe(0)
  })
})
