import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, statSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { builtPrograms } from '../helpers/built.ts'
import { freePort } from '../helpers/free-port.ts'
import { usePostgres } from '../helpers/postgres.ts'
import { scrubbedEnvironment } from '../helpers/scrubbed.ts'
import { run, start, terminate, waitFor } from '../helpers/subprocess.ts'

// The command as people run it: replicas behind HAProxy, asked by clients that nobody here wrote.
const postgres = usePostgres()
const programs = builtPrograms()
let directory: string
let env: Record<string, string>
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'rootling-server-'))
  env = { ...scrubbedEnvironment(directory), ROOTLING_HOME: join(directory, 'state') }
  await writeFile(join(directory, 'passphrase'), 'correct horse battery\n', { mode: 0o600 })
})
afterAll(() => rm(directory, { recursive: true, force: true }))

const rootling = (args: readonly string[], more: Readonly<Record<string, string>> = {}) =>
  run(programs.rootling, args, { ...env, PATH: process.env['PATH'] ?? '', ...more })

async function json(args: readonly string[]): Promise<Record<string, any>> {
  const { exitCode, stdout, stderr } = await rootling([...args, '--json'])
  expect(exitCode, stderr).toBe(0)
  return JSON.parse(stdout) as Record<string, any>
}

const keyFile = () => ['--passphrase-file', join(directory, 'passphrase')]

/** A team's database with an authority for localhost, and a role that serves. */
async function found() {
  const owner = await postgres.create()
  const role = `serving_${owner.split('/').at(-1)}`
  await postgres.server.psql(owner, `create role ${role} login`)
  const permit = ['--permit', 'localhost', '--force', '--grant', role]
  const made = await json(['server', 'init', '--database', owner, ...permit, ...keyFile()])
  return { owner, serving: owner.replace('postgres@', `${role}@`), made, permit }
}

interface Replica {
  readonly port: number
  readonly log: () => string
  readonly child: ReturnType<typeof start>
}

async function startReplica(
  database: string,
  url: string,
  name: string,
  more: readonly string[] = [],
): Promise<Replica> {
  const port = await freePort()
  const line = ['server', '--database', database, '--url', url, '--port', String(port)]
  const socket = ['--socket', join(directory, `${name}.sock`), '--replica', name]
  const local = ['--allow-address', '127.0.0.1', '--allow-address', '::1', '--drain', '1']
  const all = [...line, ...keyFile(), ...socket, ...local, ...more]
  const child = start(programs.rootling, all, env)
  onTestFinished(() => terminate(child))
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (text) => (output += String(text)))
  await waitFor(`the replica ${name}`, () => {
    if (child.exitCode !== null) throw new Error(output)
    return Promise.resolve(output.includes('listening') ? true : null)
  })
  return { port, log: () => output, child }
}

/** HAProxy in front of replicas, which it asks whether they are ready. */
async function balance(port: number, replicas: readonly Replica[]): Promise<void> {
  const file = join(directory, `haproxy-${port}.cfg`)
  const servers = replicas.map(
    (replica, i) =>
      `  server r${i} 127.0.0.1:${replica.port} send-proxy-v2 check check-ssl verify none inter 200ms fall 1 rise 1`,
  )
  await writeFile(
    file,
    `defaults
  mode tcp
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  retries 3
frontend acme
  bind 127.0.0.1:${port}
  default_backend replicas
backend replicas
  balance roundrobin
  option redispatch
  option httpchk GET /readyz
  http-check send hdr Host localhost
  http-check expect status 200
${servers.join('\n')}
`,
  )
  const child = start('/usr/sbin/haproxy', ['-db', '-f', file], env)
  onTestFinished(() => terminate(child))
  let output = ''
  child.stderr.on('data', (text) => (output += String(text)))
  await waitFor('HAProxy', () => {
    if (child.exitCode !== null) throw new Error(output)
    return fetchText(port, '/readyz', null).then(
      ({ status }) => (status === 200 ? true : null),
      () => null,
    )
  })
}

/** `ca`: the root to trust; `null`: whatever is shown. */
function fetchText(
  port: number,
  path: string,
  ca: string | null,
): Promise<{ status: number; text: string; retryAfter: string | undefined }> {
  return new Promise((resolve, reject) => {
    const trust = ca === null ? { rejectUnauthorized: false } : { ca }
    request({ host: 'localhost', port, path, agent: false, ...trust }, (response) => {
      let text = ''
      response.on('data', (chunk) => (text += String(chunk)))
      response.on('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          text,
          retryAfter: response.headers['retry-after'],
        }),
      )
    })
      .on('error', reject)
      .end()
  })
}

const eab = (name: string, args: readonly string[]) =>
  json(['server', 'eab', ...args, '--socket', join(directory, `${name}.sock`)])

test('the authority is made once, and for these names alone', async () => {
  const { owner, made } = await found()
  expect(made).toMatchObject({ created: true, permitted: ['localhost'] })
  const root = new X509Certificate(String(made['root']))
  expect(root.fingerprint256.replaceAll(':', '').toLowerCase()).toBe(made['fingerprint'])
  const line = ['server', 'init', '--database', owner, ...keyFile()]
  const again = await json([...line, '--permit', 'localhost', '--force'])
  expect(again).toMatchObject({ created: false, fingerprint: made['fingerprint'] })
  const other = await rootling([...line, '--permit', 'team.internal'])
  expect(other.exitCode).toBe(1)
  expect(other.stderr).toContain('may sign localhost alone')
})

test('a host of the server that the authority may not sign is refused, with the names that it may', async () => {
  const { owner } = await found()
  const line = ['server', '--database', owner, '--port', '0', ...keyFile()]
  const refused = await rootling([...line, '--url', 'https://www.example.com'])
  expect(refused).toMatchObject({ exitCode: 1 })
  expect(refused.stderr).toContain('may not sign www.example.com')
  expect(refused.stderr).toContain('a name below localhost')
})

test('a wrong passphrase, a loose file and a password in the line are refused', async () => {
  const { owner } = await found()
  const line = ['server', '--database', owner, '--url', 'https://localhost:1', '--port', '0']
  const wrong = join(directory, 'wrong')
  await writeFile(wrong, 'incorrect horse battery\n', { mode: 0o600 })
  const refused = await rootling([...line, '--passphrase-file', wrong])
  expect(refused).toMatchObject({ exitCode: 1 })
  expect(refused.stderr).toContain(`The passphrase does not open the keys in ${owner}.`)
  // It has sealed nothing either, which the right one would not open.
  const sealed = 'select count(*) from rootling.secret'
  expect((await postgres.server.psql(owner, sealed)).trim()).toBe('0')
  const loose = join(directory, 'loose')
  await writeFile(loose, 'correct horse battery\n', { mode: 0o644 })
  expect((await rootling([...line, '--passphrase-file', loose])).stderr).toContain('chmod')
  const secret = owner.replace('postgres@', 'postgres:sesame@')
  for (const url of [secret, `${owner}?password=sesame`]) {
    const told = await rootling(['server', 'migrate', '--database', url])
    expect(told).toMatchObject({ exitCode: 2 })
    expect(told.stderr).not.toContain('sesame')
  }
})

test('init says what to do next, and a database without our schema is no defect', async () => {
  const owner = await postgres.server.createDatabase()
  const line = ['server', 'init', '--database', owner, '--permit', 'team.internal', ...keyFile()]
  const first = await rootling(line)
  expect(first.stderr).toContain('rootling server run --url URL')
  expect(first.stdout).toMatch(/^until +\d{4}-\d\d-\d\d \d\d:\d\d UTC \(in 36\d\d days\)$/m)
  expect((await rootling(line)).stderr).toContain('was there already')
  const empty = await postgres.server.createDatabase()
  const refused = await rootling(['server', 'audit', 'verify', '--database', empty])
  expect(refused).toMatchObject({ exitCode: 2 })
  expect(refused.stderr).toContain('server migrate')
  expect(refused.stderr).not.toContain('defect')
})

test('a port that is taken is named by its own option', async () => {
  const { serving } = await found()
  const url = 'https://localhost'
  const taken = await startReplica(serving, url, 'first', ['--metrics-port', '0'])
  const port = String(taken.port)
  const line = ['server', '--database', serving, '--url', url, ...keyFile(), '--port', '0']
  const socket = ['--socket', join(directory, 'second.sock')]
  for (const [option, more] of [
    ['--metrics-port', []],
    ['--revocation-port', ['--revocation-url', 'http://localhost']],
    ['--admin-port', ['--admin', 'alice@team.internal']],
  ] as const) {
    const refused = await rootling([...line, ...socket, option, port, ...more])
    expect(refused).toMatchObject({ exitCode: 1 })
    expect(refused.stderr).toContain(`already listens on 127.0.0.1:${port}.`)
    expect(refused.stderr).toContain(`${option} ${taken.port + 1}`)
    expect(refused.stderr).toContain('--port 0')
  }
})

test.skipIf(!existsSync('/usr/bin/lego') || !existsSync('/usr/sbin/haproxy'))(
  'three replicas behind HAProxy serve lego, while one is killed and one is drained',
  async () => {
    const { serving, made } = await found()
    const [front, http01, metrics] = [await freePort(), await freePort(), await freePort()]
    const url = `https://localhost:${front}`
    const ports = ['--proxy', '127.0.0.1', '--http01-port', String(http01)]
    const replicas = await Promise.all(
      ['a', 'b', 'c'].map((name) =>
        startReplica(serving, url, name, [
          ...ports,
          ...(name === 'a' ? ['--metrics-port', String(metrics)] : []),
        ]),
      ),
    )
    const [a, b, c] = replicas as [Replica, Replica, Replica]
    await balance(front, replicas)
    const roots = await fetchText(front, '/roots.pem', String(made['root']))
    expect(roots).toEqual({ status: 200, text: made['root'] })
    const root = join(directory, 'root.pem')
    await writeFile(root, roots.text)

    // A developer's machine trusts it by the fingerprint alone, whatever the server shows.
    const trust = ['trust', url, '--dry-run', '--stores', 'nss', '--fingerprint']
    expect(await json([...trust, String(made['fingerprint'])])).toMatchObject({ dryRun: true })
    const other = await rootling([...trust, 'ab'.repeat(32)])
    expect(other.exitCode).not.toBe(0)
    expect(other.stderr).toContain('fingerprint')

    const key = await eab('a', ['create', '--name', '*.shop.localhost', '--label', 'the shop'])
    const lego = (path: string, name: string, command: readonly string[], bound = key) =>
      run(
        '/usr/bin/lego',
        [
          ...['--server', `${url}/acme/directory`, '--email', 'me@example.com', '--accept-tos'],
          ...['--path', join(directory, path), '--domains', name],
          ...['--eab', '--kid', String(bound['kid']), '--hmac', String(bound['hmacKey'])],
          ...['--http', '--http.port', `127.0.0.1:${http01}`, ...command],
        ],
        { ...env, LEGO_CA_CERTIFICATES: root },
      )
    const issue = async (name: string): Promise<X509Certificate> => {
      const issued = await lego('lego', name, ['run'])
      expect(issued, issued.stderr).toMatchObject({ exitCode: 0 })
      return new X509Certificate(
        await readFile(join(directory, 'lego/certificates', `${name}.crt`), 'utf8'),
      )
    }
    const leaves = [await issue('one.shop.localhost')]
    expect(leaves[0]?.subjectAltName).toBe('DNS:one.shop.localhost')
    b.child.kill('SIGKILL')
    leaves.push(await issue('two.shop.localhost'))
    c.child.kill('SIGTERM')
    leaves.push(await issue('three.shop.localhost'))
    await waitFor('the end of c', () => Promise.resolve(c.child.exitCode))
    expect(c.child.exitCode).toBe(0)
    expect(c.log()).toContain('"event":"stopped"')

    // What the key does not permit, and a key that is used up or revoked.
    const beyond = await lego('lego', 'bank.localhost', ['run'])
    expect(beyond.exitCode).not.toBe(0)
    expect(beyond.stderr).toContain('rejectedIdentifier')
    const any = await eab('a', ['create', '--label', 'anything'])
    const outside = await lego('any', 'www.example.com', ['run'], any)
    expect(outside.stderr).toContain('outside the names that this authority may sign')
    expect(outside.stderr).not.toContain('ca permit')
    const second = await lego('other', 'four.shop.localhost', ['run'])
    expect(second.exitCode).not.toBe(0)
    expect(second.stderr).toContain('has bound all accounts it may')
    expect(await eab('a', ['revoke', String(key['kid'])])).toMatchObject({ changed: true })
    const ended = await lego('lego', 'five.shop.localhost', ['run'])
    expect(ended.exitCode).not.toBe(0)
    expect(ended.stderr).toContain('was revoked')
    const { keys } = await eab('a', ['list'])
    expect(keys).toHaveLength(2)
    expect(JSON.stringify(keys)).not.toContain(String(key['hmacKey']))

    // The audit has each certificate once, and who made and revoked the key.
    const audit = await json(['server', 'audit', 'verify', '--database', serving])
    expect(audit).toMatchObject({ faults: [] })
    const rows = "select facts->>'serial' from rootling.audit where event = 'issued'"
    const recorded = (await postgres.server.psql(serving, rows)).trim().split('\n')
    const bare = (serial: string): string => serial.toLowerCase().replace(/^0+/, '')
    expect(recorded.map(bare).toSorted()).toEqual(
      leaves.map(({ serialNumber }) => bare(serialNumber)).toSorted(),
    )
    const text = await fetchMetrics(metrics)
    expect(text).toMatch(/^rootling_orders_issued_total \d+$/m)
    expect(text).toContain('rootling_orders_failed_total{reason="rejectedIdentifier"}')
    // Neither a secret nor a health check is in a log, and clients have their own addresses.
    const logs = [a, b, c].map(({ log }) => log()).join('')
    expect(logs).not.toContain(String(key['hmacKey']))
    expect(logs).not.toContain('readyz')
    expect(logs).toContain('"route":"new-order"')
    const line = logs.split('\n').find((one) => one.includes('"route":"finalize"'))
    expect(line).toMatch(/"request":"[\da-f-]{36}".*"account":"[\w-]{22}"/)
    expect(text).toContain('rootling_certificates_due 0\n')
  },
)

async function fetchMetrics(port: number): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${port}/metrics`)
  return response.text()
}

test('an administrator of another machine makes keys by a client certificate', async () => {
  const { serving, made } = await found()
  const admin = await freePort()
  const remote = ['--admin-port', String(admin), '--admin', 'alice@team.internal']
  const replica = await startReplica(serving, 'https://localhost:1', 'remote', remote)
  const socket = ['--socket', join(directory, 'remote.sock')]
  const make = (name: string, ...more: readonly string[]) =>
    json(['server', 'admin-cert', 'create', name, '--out', join(directory, 'admins'), ...more])
  const alice = await make('alice@team.internal', ...socket)
  const bob = await make('bob@team.internal', ...socket)
  expect(await readFile(String(alice['caPath']), 'utf8')).toBe(made['root'])
  expect(statSync(String(alice['keyPath'])).mode & 0o777).toBe(0o600)
  const by = ({ certPath, keyPath, caPath }: Record<string, any>) => [
    ...['--server', `https://localhost:${admin}`, '--cert-file', String(certPath)],
    ...['--key-file', String(keyPath), '--cacert', String(caPath)],
  ]
  const key = await json(['server', 'eab', 'create', '--label', 'CI', ...by(alice)])
  expect(await json(['server', 'eab', 'revoke', String(key['kid']), ...by(alice)])).toMatchObject({
    changed: true,
  })
  const refused = async (
    args: readonly string[],
    code: string,
    sentence: string,
    hint: string | RegExp = '',
  ) => {
    const { exitCode, stdout } = await rootling([...args, '--json'])
    expect(exitCode).not.toBe(0)
    const { error } = JSON.parse(stdout) as Record<string, any>
    expect(error).toMatchObject({ code, message: expect.stringContaining(sentence) })
    expect(error['hint'] ?? '').toMatch(hint)
  }
  const list = ['server', 'eab', 'list']
  await refused([...list, ...by(bob)], 'not-trusted', 'does not name this administrator')
  // Only the server's own user makes administrators.
  const eve = ['server', 'admin-cert', 'create', 'eve@team.internal', '--out', directory]
  await refused([...eve, ...by(alice)], 'usage', 'made on the server')
  // The roots that the system trusts do not have the team's.
  await refused([...list, ...by(alice).slice(0, 6)], 'not-trusted', 'localhost', '--cacert FILE')
  // The hints are those for a team's server, not for the servers of one machine.
  const at = (server: string) => [...list, '--server', server, ...by(alice).slice(2)]
  const nobody = await freePort()
  await refused(at(`https://localhost:${nobody}`), 'connect-failed', 'Nothing', '--admin-port')
  await refused(at(`https://127.0.0.1:${admin}`), 'not-trusted', 'Wrong host', /^Name the server/)
  const acme = `https://localhost:${replica.port}`
  await refused(at(acme), 'connect-failed', 'does not administer', '--admin-port')
  const uses = ['server', 'eab', 'create', ...by(alice), '--uses', '-1']
  await refused(uses, 'usage', '--uses -1', '--uses 0 for any number')
  const one = await rootling(['server', 'eab', 'create', '--name', 'a.localhost', ...by(alice)])
  expect(one.stderr).toContain('not shown again')
  expect((await rootling([...list, ...by(alice)])).stdout).toContain('binds 1 more account  a.')
  expect(await json(['server', 'admin-cert', 'list', ...by(alice)])).toMatchObject({
    certificates: [{ names: ['alice@team.internal'] }, { names: ['bob@team.internal'] }],
  })
  const revoke = ['server', 'admin-cert', 'revoke', String(alice['serialNumber'])]
  expect(await json([...revoke, ...socket])).toMatchObject({ changed: true })
  await refused([...list, ...by(alice)], 'not-trusted', 'revoked', 'server admin-cert create')
  const roots = await fetchText(replica.port, '/roots.pem', String(made['root']))
  expect(roots.text).toBe(made['root'])

  const rows = await postgres.server.psql(
    serving,
    `select event, actor from rootling.audit where event in
       ('eabKeyCreated', 'eabKeyRevoked', 'issued', 'revoked') order by n`,
  )
  expect(rows.trim().split('\n')).toEqual([
    'issued|administrator by the socket',
    'issued|administrator by the socket',
    'eabKeyCreated|administrator alice@team.internal',
    'eabKeyRevoked|administrator alice@team.internal',
    'eabKeyCreated|administrator alice@team.internal',
    'revoked|administrator by the socket',
  ])
  expect(await json(['server', 'audit', 'verify', '--database', serving])).toMatchObject({
    faults: [],
  })
  expect(replica.log()).toContain('"route":"/eab-create"')
  expect(replica.log()).not.toContain(String(key['hmacKey']))
})

test('administration over the network needs a port, and somebody who may', async () => {
  const line = ['server', '--database', 'postgres://x@localhost/x', '--url', 'https://localhost:1']
  for (const [more, sentence] of [
    [['--admin-port', '1'], 'Nobody is named'],
    [['--admin', 'alice@team.internal'], 'are for --admin-port'],
    [['--admin-port', '1', '--admin', '*.internal'], 'cannot be the name of an administrator'],
  ] as const) {
    const refused = await rootling([...line, ...keyFile(), ...more])
    expect(refused).toMatchObject({ exitCode: 2 })
    expect(refused.stderr).toContain(sentence)
  }
})

test('a database on another machine is not connected to without a word on encryption', async () => {
  for (const [url, env] of [
    ['postgres://x@192.0.2.1/x', {}],
    ['postgres://x@db.internal:5433/x?application_name=y', {}],
    ['postgres://x@/x', { PGHOST: 'db.internal' }],
    ['postgres://x@localhost/x?host=db.internal', {}],
  ] as const) {
    const line = ['server', '--database', url, '--url', 'https://localhost:1', ...keyFile()]
    const refused = await rootling(line, env)
    expect([url, refused.exitCode]).toEqual([url, 2])
    expect(refused.stderr).toContain('would not be encrypted')
    expect(refused.stderr).toContain('?sslmode=verify-full')
  }
})

test('where the socket is named, no state directory is needed', async () => {
  const socket = join(directory, 'nobody.sock')
  const args = ['server', 'eab', 'list', '--socket', socket]
  const { exitCode, stderr } = await rootling(args, { ROOTLING_HOME: '/dev/null/x' })
  expect(stderr).toContain(`No server listens at ${socket}`)
  expect(exitCode).toBe(1)
})

test('a role that serves may not change the schema, and says who can', async () => {
  const owner = await postgres.server.createDatabase()
  await postgres.server.psql(owner, 'create role newcomer login')
  const serving = owner.replace('postgres@', 'newcomer@')
  const line = ['server', '--database', serving, '--url', 'https://localhost:1', ...keyFile()]
  const refused = await rootling(line)
  expect(refused).toMatchObject({ exitCode: 2 })
  expect(refused.stderr).toContain('rootling server migrate')
})

test('a database that is away is said to be so, and the server is not ready until it is back', async () => {
  const { serving } = await found()
  const replica = await startReplica(serving, 'https://localhost:1', 'away')
  const ready = async () => (await fetchText(replica.port, '/readyz', null)).status
  expect(await ready()).toBe(200)
  await postgres.server.stop('immediate')
  expect(await ready()).toBe(503)
  expect((await fetchText(replica.port, '/healthz', null)).status).toBe(200)
  expect(await fetchText(replica.port, '/roots.pem', null)).toEqual({
    status: 503,
    text: '',
    retryAfter: '5',
  })
  await postgres.server.start()
  await waitFor('the database to be back', async () => ((await ready()) === 200 ? true : null))
})

test.each([
  ['only reads', 'set default_transaction_read_only = on'],
  ['lets its role in no more', 'nologin'],
])(
  'a server whose database %s is not ready, and tells clients nothing of it',
  async (_, change) => {
    const { owner, serving } = await found()
    const role = new URL(serving).username
    const replica = await startReplica(serving, 'https://localhost:1', 'refused')
    const fetched = (path: string) => fetchText(replica.port, path, null)
    const info = '/acme/renewal-info/aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE'
    expect((await fetched('/readyz')).status).toBe(200)
    expect((await fetched(info)).status).toBe(404)
    await postgres.server.psql(
      owner,
      `alter role ${role} ${change};
     select pg_terminate_backend(pid) from pg_stat_activity where usename = '${role}'`,
    )
    expect((await fetched('/readyz')).status).toBe(503)
    if (change === 'nologin') {
      const refused = await fetched(info)
      expect(refused).toMatchObject({ status: 503, retryAfter: '5' })
      expect(refused.text).not.toMatch(/postgres|role/)
    }
    await postgres.server.psql(
      owner,
      `alter role ${role} login; alter role ${role} reset all;
    select pg_terminate_backend(pid) from pg_stat_activity where usename = '${role}'`,
    )
    await waitFor('the server to be ready', async () =>
      (await fetched('/readyz')).status === 200 ? true : null,
    )
  },
)

test('a server waits for a database that starts beside it, and ends at once when told to', async () => {
  const { serving } = await found()
  await postgres.server.stop('fast')
  const starting = startReplica(serving, 'https://localhost:1', 'early')
  starting.catch(() => undefined)
  const told = start(
    programs.rootling,
    ['server', '--database', serving, '--url', 'https://localhost:1', ...keyFile()],
    env,
  )
  onTestFinished(() => terminate(told))
  let output = ''
  told.stderr.on('data', (text) => (output += String(text)))
  await waitFor('the warning', () => (output.includes('does not answer') ? true : null))
  const ended = once(told, 'close')
  told.kill('SIGTERM')
  await ended
  expect(told.exitCode).not.toBe(0)
  await postgres.server.start()
  const { log } = await starting
  expect(log()).toContain('does not answer')
})
