import { X509Certificate } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { command, project } from '../helpers/built.ts'
import { createAuthority } from '../helpers/rootling.ts'
import { namespaceUnavailable } from '../helpers/namespace.ts'
import { testNamespace } from '../helpers/test-namespace.ts'
import { waitFor } from '../helpers/subprocess.ts'

// What README.md tells people to type, typed as it stands there, on a machine of its own: the same
// ports, the same paths.
const readme = readFileSync(join(project, 'README.md'), 'utf8')
const names = ['lego', 'certbot', 'Caddy', 'nginx', 'Traefik']

/** The code blocks of a recipe, by language; its heading is a word in bold. */
function recipe(name: string): Readonly<Record<string, string>> {
  const [, from = ''] = readme.split(`\n**${name}**`)
  const [text = ''] = from.split(/\n\*\*|\n#/)
  const blocks = [...text.matchAll(/^```(\w+)\n(.*?)^```$/gms)]
  return Object.fromEntries(blocks.map(([, language = '', code = '']) => [language, code]))
}

test.each(names)('the recipe for %s has five lines at most', (name) => {
  const lines = Object.values(recipe(name)).join('').trimEnd().split('\n')
  expect(lines.length).toBeGreaterThan(1)
  expect(lines.length).toBeLessThanOrEqual(5)
})

const absent = (program: string) => (existsSync(program) ? null : `${program} is not installed`)
const noNamespace = namespaceUnavailable() ?? absent('/usr/sbin/ip')
const missing = (program: string) => noNamespace ?? absent(program)
const note = (reason: string | null): string => (reason === null ? '' : ` [skipped: ${reason}]`)

/** An authority that nobody trusts, every port free, and `rootling` where a shell finds it. */
async function open() {
  const namespace = await testNamespace({ ownLoopback: true })
  await createAuthority(namespace)
  const script = (text: string) => `cd ~\nexport PATH="$HOME/bin:/usr/sbin:$PATH"\n${text}`
  const shell = async (text: string): Promise<string> => {
    const { stdout } = await namespace.must('bash', ['-euc', script(text)])
    return stdout.trim()
  }
  await shell(`mkdir bin && ln -s ${command} bin/rootling`)
  const root = await shell('rootling ca path')
  // Debian's curl would look into the system store as well.
  const trust = ['--capath', '/nowhere', '--cacert', root]
  return {
    namespace,
    root,
    shell,
    /** Types what goes on running. */
    spawn: (text: string) => namespace.spawn('bash', ['-euc', script(text)]),
    /** What curl gets, trusting our root alone; `null`: nothing. */
    async visit() {
      const url = 'https://app.localhost/'
      const { exitCode, stdout } = await namespace.run('curl', ['-sSf', ...trust, url])
      return exitCode === 0 ? stdout : null
    },
    /** The certificate that port 443 shows. */
    async served(): Promise<X509Certificate> {
      const where = ['-connect', '127.0.0.1:443', '-servername', 'app.localhost']
      return new X509Certificate((await namespace.must('openssl', ['s_client', ...where])).stdout)
    },
  }
}

describe('the recipe of README.md', () => {
  const lego = missing('/usr/bin/lego')
  test.skipIf(lego !== null)(`for lego ends with a certificate${note(lego)}`, async () => {
    const { shell, root } = await open()
    await shell(recipe('lego')['sh'] ?? '')
    const file = '.lego/certificates/app.localhost.crt'
    const verified = await shell(`openssl verify -CAfile ${root} -untrusted ${file} ${file}`)
    expect(verified).toBe(`${file}: OK`)
  })

  const certbot = missing('/usr/bin/certbot') ?? missing('/usr/bin/sudo')
  test.skipIf(certbot !== null)(`for certbot ends with a certificate${note(certbot)}`, async () => {
    const { shell, root } = await open()
    await shell(recipe('certbot')['sh'] ?? '')
    const live = '/etc/letsencrypt/live/app.localhost'
    const chain = `-untrusted ${live}/chain.pem ${live}/cert.pem`
    expect(await shell(`openssl verify -CAfile ${root} ${chain}`)).toBe(`${live}/cert.pem: OK`)
    expect(await shell(`REQUESTS_CA_BUNDLE=${root} certbot renew`)).toContain('not yet due')
  })

  const caddy = missing('/usr/bin/caddy')
  test.skipIf(caddy !== null)(`for Caddy serves what curl accepts${note(caddy)}`, async () => {
    const { namespace, shell, spawn, visit, served } = await open()
    const { caddyfile, sh = '' } = recipe('Caddy')
    const site = `app.localhost {\n${caddyfile}\nrespond "hello from Caddy"\n}\n`
    await namespace.writeFile(join(namespace.home, 'Caddyfile'), site)
    await shell('rootling daemon start')
    const program = spawn(sh)
    let said = ''
    program.stderr.setEncoding('utf8').on('data', (text: string) => (said += text))
    const hello = await waitFor('Caddy', () => {
      if (program.exitCode !== null) throw new Error(`Caddy ended: ${said}`)
      return visit()
    })
    expect(hello).toBe('hello from Caddy')
    expect((await served()).subjectAltName).toBe('DNS:app.localhost')
  })

  const nginx = missing('/usr/sbin/nginx')
  test.skipIf(nginx !== null)(`for nginx serves what was renewed${note(nginx)}`, async () => {
    const { namespace, shell, visit, served } = await open()
    const { nginx: lines = '', sh = '' } = recipe('nginx')
    await shell(sh)
    const site = `server { ${lines.replaceAll('/home/you', namespace.home)}
      location / { return 200 "hello from nginx"; } }`
    await namespace.writeFile('/etc/nginx/conf.d/app.conf', site)
    await namespace.must('mount', ['-t', 'tmpfs', 'tmpfs', '/run'])
    await shell('nginx')
    expect(await visit()).toBe('hello from nginx')
    const { serialNumber } = await served()
    await shell('rootling renew --all')
    await waitFor('the new certificate', async () =>
      (await served()).serialNumber === serialNumber ? null : true,
    )
    expect(await visit()).toBe('hello from nginx')
  })
})
