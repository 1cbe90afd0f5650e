import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { ensureScopeFor } from '../../../src/authority/create.ts'
import { issue } from '../../../src/certificates/issue.ts'
import { renew } from '../../../src/certificates/renew.ts'
import { inspectCertificate, certificatesIn } from '../../../src/x509/inspect.ts'
import { freePort } from '../../helpers/free-port.ts'
import { scrubbedEnvironment } from '../../helpers/scrubbed.ts'
import { killGroup, start, waitFor } from '../../helpers/subprocess.ts'
import { hasTool, runTool } from '../../helpers/tools.ts'
import { startResponder } from './responder.ts'
import { contentsOf, makeWorld, openssl, type World } from '../../helpers/authority.ts'

const java = await hasTool('java')
const nginx = (await hasTool('nginx')) && (await hasTool('curl'))

test('a certificate names its responder and its list, and OpenSSL follows both names', async () => {
  const world = await makeWorld()
  const responder = await startResponder(world.state)
  const record = await world.issue('web', `${responder.url}/`)
  const text = await openssl('x509', '-in', world.path('web.pem'), '-noout', '-text')
  expect(text).toMatch(new RegExp(`OCSP - URI:${responder.url}/ocsp\n`))
  expect(text).toMatch(new RegExp(`URI:${responder.url}/local\\.crl\n`))
  const verify = () =>
    openssl(
      'verify',
      '-x509_strict',
      '-CAfile',
      world.path('root.pem'),
      '-crl_download',
      '-untrusted',
      world.path('intermediate.pem'),
      '-crl_check',
      world.path('web.pem'),
    )
  expect(await verify()).toMatch(/web\.pem: OK/)
  await world.revoke(record)
  expect(await verify()).toMatch(/certificate revoked/)
})

test('without a responder’s URL a certificate names none; https is refused', async () => {
  const world = await makeWorld()
  await world.issue('web')
  const text = await openssl('x509', '-in', world.path('web.pem'), '-noout', '-text')
  expect(text).not.toMatch(/Authority Information Access|CRL Distribution/)
  for (const revocationUrl of ['https://localhost', 'localhost:14680', 'http://a b'])
    await expect(
      issue(world.state, { names: ['localhost'], files: null, revocationUrl }, new Date()),
    ).rejects.toMatchObject({ code: 'usage', hint: '--revocation-url http://localhost:14680' })
})

test('renewal keeps the names of responder and list', async () => {
  const world = await makeWorld()
  await world.issue('web', 'http://localhost:14680')
  const [renewal] = await renew(world.state, { which: 'all' }, {}, new Date())
  expect(renewal?.outcome).toBe('renewed')
  const [der = Buffer.alloc(0)] = certificatesIn(await contentsOf(world, 'web'), 'The file')
  expect(inspectCertificate(der)).toMatchObject({
    serialNumber: renewal?.record?.serialNumber,
    ocspUrls: ['http://localhost:14680/ocsp'],
    crlUrls: ['http://localhost:14680/local.crl'],
  })
})

test.skipIf(!java)(
  'Java asks the responder, and refuses what is revoked and what nobody answers for',
  async () => {
    const world = await makeWorld()
    const responder = await startResponder(world.state)
    await world.issue('good', responder.url)
    const bad = await world.issue('bad', responder.url)
    await world.issue('silent', 'http://127.0.0.1:9')
    await world.revoke(bad, 'keyCompromise')
    const judge = async (name: string) => {
      const program = join(import.meta.dirname, 'Revocation.java')
      const { stdout, stderr } = await runTool('java', [
        program,
        world.path('root.pem'),
        world.path(`${name}.pem`),
      ])
      return stdout + stderr
    }
    expect(await judge('good')).toBe('accepted\n')
    expect(await judge('bad')).toMatch(/^REVOKED: .*KEY_COMPROMISE/)
    expect(await judge('silent')).toMatch(/^UNDETERMINED_REVOCATION_STATUS/)
  },
)

/** nginx on a free loopback port, with a directory of its own, until the test ends. */
async function startNginx(world: World): Promise<number> {
  const port = await freePort()
  await mkdir(world.path('nginx'))
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
  await writeFile(
    world.path('nginx/nginx.conf'),
    `daemon off; master_process off; pid nginx.pid; error_log error.log info;
events {}
http {
  access_log off;
  ${temporary.map((name) => `${name}_temp_path ${name};`).join(' ')}
  server {
    listen 127.0.0.1:${port} ssl;
    ssl_certificate ${world.path('server.pem')};
    ssl_certificate_key ${world.path('server-key.pem')};
    ssl_client_certificate ${world.path('cas.pem')};
    ssl_crl ${world.path('crls.pem')};
    ssl_verify_client on;
    ssl_verify_depth 2;
    location / { return 200 "hello $ssl_client_verify"; }
  }
}
`,
  )
  const args = ['-p', world.path('nginx'), '-c', 'nginx.conf', '-e', 'error.log']
  const child = start('nginx', args, scrubbedEnvironment(world.directory))
  onTestFinished(() => killGroup(child))
  await waitFor('nginx', async () => {
    if (child.exitCode !== null) throw new Error(`nginx exited with ${child.exitCode}`)
    const { exitCode } = await runTool('curl', ['-ks', `https://127.0.0.1:${port}/`])
    return exitCode === 7 ? null : exitCode
  })
  return port
}

test.skipIf(!nginx)('nginx ssl_crl lets the good client in and the revoked one not', async () => {
  const world = await makeWorld()
  await world.issue('server')
  const client = async (name: string) => {
    const files = { certPath: world.path(`${name}.pem`), keyPath: world.path(`${name}-key.pem`) }
    const request = { names: [`${name}@mail.test`], purpose: 'client', files } as const
    return (await issue(world.state, request, new Date())).record
  }
  await client('alice')
  await world.revoke(await client('mallory'), 'keyCompromise')
  const { root, intermediate } = await ensureScopeFor(world.state, 'clients', new Date())
  await writeFile(world.path('cas.pem'), intermediate.toString() + root.toString())
  await world.writeCrls(new Date(), 'clients')
  const port = await startNginx(world)
  const fetch = async (name: string) => {
    const identity = ['--cert', world.path(`${name}.pem`), '--key', world.path(`${name}-key.pem`)]
    const args = ['-sS', '--cacert', world.path('root.pem'), ...identity]
    return (await runTool('curl', [...args, `https://localhost:${port}/`])).stdout
  }
  expect(await fetch('alice')).toBe('hello SUCCESS')
  expect(await fetch('mallory')).toMatch(/The SSL certificate error/)
  expect(await readFile(world.path('nginx/error.log'), 'utf8')).toMatch(/certificate revoked/)
})
