import { createPrivateKey, X509Certificate } from 'node:crypto'
import { chmodSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { permitScope } from '../../src/authority/create.ts'
import { requireScope } from '../../src/authority/scope.ts'
import { yamlLines } from '../../src/containers/yaml.ts'
import { startDaemon } from '../acme/daemon.ts'
import { command, project } from '../helpers/built.ts'
import { openHome } from '../helpers/home.ts'
import { npmPackage } from '../helpers/npm-program.ts'
import { hasTool, runTool } from '../helpers/tools.ts'

const ruby = await hasTool('ruby')
const python = await hasTool('python3')
// The schemas of Kubernetes, of cert-manager's and of trust-manager's resources, from those projects.
const models = await npmPackage('@kubernetes-models/cert-manager@6.0.0', 'rootling-kubernetes')

type Document = { readonly kind: string; readonly [key: string]: unknown }

/** Reads documents of YAML by Ruby's Psych, which nobody here wrote. */
async function documents(text: string): Promise<Document[]> {
  const script = 'require "yaml"; require "json"; puts JSON.dump(YAML.load_stream(STDIN.read))'
  const { stdout, stderr } = await runTool('ruby', ['-e', script], text)
  expect(stderr).toBe('')
  return JSON.parse(stdout) as Document[]
}

/** The YAML of the Bundle that stands in comments. */
function bundleOf(yaml: string): string {
  const [, text = ''] = /(^# apiVersion: trust(?:.*\n# ?.*)*)/m.exec(yaml) ?? []
  return text.replaceAll(/^# /gm, '')
}

const modelOf: Readonly<Record<string, string>> = {
  Bundle: '@kubernetes-models/cert-manager/trust.cert-manager.io/v1alpha1',
  ClusterIssuer: '@kubernetes-models/cert-manager/cert-manager.io/v1',
  ConfigMap: 'kubernetes-models/v1',
  Secret: 'kubernetes-models/v1',
}

/**
 * Returns what the published schemas find wrong with objects. Their validators pass over unknown
 * members, as Kubernetes does; the types made of the same schemas do not.
 */
async function faults(objects: readonly Document[]): Promise<string> {
  const directory = await mkdtemp(join(models.directory ?? '', 'check-'))
  onTestFinished(() => rm(directory, { recursive: true }))
  const lines = (each: (kind: string, path: string, object: string) => string): string =>
    objects
      .map((object) => each(object.kind, modelOf[object.kind] ?? '', JSON.stringify(object)))
      .join('\n')
  const validating = lines(
    (kind, path, object) =>
      `await import('${path}').then((all) => new all.${kind}(${object}).validate()).catch((error) => console.log(error.message))`,
  )
  const typed = lines(
    (kind, path, object) => `void (${object} satisfies import('${path}').I${kind})`,
  )
  writeFileSync(join(directory, 'check.mjs'), validating)
  writeFileSync(join(directory, 'check.ts'), typed)
  const inside = async (...args: readonly string[]): Promise<string> => {
    const ended = await runTool('env', [`--chdir=${directory}`, process.execPath, ...args])
    return ended.stdout + ended.stderr
  }
  const options = ['--module', 'esnext', '--moduleResolution', 'bundler', '--target', 'es2022']
  const flags = [
    '--strict',
    '--skipLibCheck',
    '--noEmit',
    '--ignoreConfig',
    '--types',
    '',
    'check.ts',
  ]
  const tsc = join(project, 'node_modules/.bin/tsc')
  return (await inside('check.mjs')) + (await inside(tsc, ...options, ...flags))
}

/** A daemon that a cluster of Docker Desktop reaches. */
async function openDaemon() {
  const daemon = await startDaemon('--acme-host', 'host.docker.internal')
  onTestFinished(() => daemon.close())
  return daemon
}

/** A home with an authority and the private scope `cluster`. */
async function openPrivate() {
  const home = openHome()
  await home.createAuthority()
  const state = { path: join(home.directory, 'state'), owner: null }
  await permitScope(state, { permit: [], name: 'cluster', private: true }, new Date())
  const scope = await requireScope(state, 'cluster', () => '')
  return { ...home, root: scope.root }
}

const noSchemas = models.missing ?? (ruby ? null : 'ruby is not installed')
const skipped = noSchemas === null ? '' : ` [skipped: ${noSchemas}]`

describe.skipIf(noSchemas !== null)(`the YAML is as the published schemas say${skipped}`, () => {
  test('of the ACME issuer, and it names the daemon, its root and a key that it knows', async () => {
    const daemon = await openDaemon()
    const printed = await daemon.run(process.execPath, [command, 'kubernetes', '--name', 'dev'])
    expect(printed).toMatchObject({ exitCode: 0, stderr: '' })
    const objects = await documents(printed.stdout)
    expect(await faults(objects)).toBe('')
    const bundle = await documents(bundleOf(printed.stdout))
    expect(await faults(bundle)).toBe('')
    const root = await daemon.root()
    expect(bundle).toMatchObject([{ spec: { sources: [{ inLine: root }] } }])
    expect(objects).toEqual([
      {
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: { name: 'dev-eab', namespace: 'cert-manager' },
        type: 'Opaque',
        stringData: { secret: expect.stringMatching(/^[\w-]{43}$/) as string },
      },
      {
        apiVersion: 'cert-manager.io/v1',
        kind: 'ClusterIssuer',
        metadata: { name: 'dev' },
        spec: {
          acme: {
            server: `https://host.docker.internal:${daemon.port}/acme/directory`,
            caBundle: Buffer.from(root).toString('base64'),
            privateKeySecretRef: { name: 'dev-account' },
            externalAccountBinding: {
              keyID: expect.stringMatching(/^[\w-]{22}$/) as string,
              keySecretRef: { name: 'dev-eab', key: 'secret' },
            },
            solvers: [{ http01: { ingress: {} } }],
          },
        },
      },
      {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name: 'dev-root' },
        data: { 'ca.crt': root },
      },
    ])
    expect(printed.stdout).not.toContain('PRIVATE KEY')
    // A command in the comments is for this authority when it is pasted.
    const home = `ROOTLING_HOME=${daemon.state.path}`
    expect(printed.stdout).toContain(`\n#   ${home} rootling kubernetes | kubectl apply -f -\n`)
    // Every account needs a key now, also on this machine, to which a container program may belong.
    const { stdout } = await daemon.run('curl', ['-sS', '--cacert', daemon.rootPath, daemon.acme])
    expect(JSON.parse(stdout)).toMatchObject({ meta: { externalAccountRequired: true } })
  })

  test('of the issuer that signs, whose key signs below the root', async () => {
    const { rootling, json, directory, root } = await openPrivate()
    const args = ['kubernetes', '--secret', 'cluster', '--namespace', 'ca']
    const { exitCode, stdout, stderr } = await rootling(args)
    expect(exitCode).toBe(0)
    expect(stderr).toMatch(/^Warning: This output holds the signing key .* any name\./)
    const objects = await documents(stdout)
    expect(await faults(objects)).toBe('')
    expect(await faults(await documents(bundleOf(stdout)))).toBe('')
    expect(objects).toMatchObject([
      {
        kind: 'Secret',
        type: 'kubernetes.io/tls',
        metadata: { name: 'rootling-ca', namespace: 'ca' },
      },
      { kind: 'ClusterIssuer', spec: { ca: { secretName: 'rootling-ca' } } },
      { kind: 'ConfigMap', data: { 'ca.crt': root.toString() } },
    ])
    const { stringData } = objects[0] as unknown as {
      stringData: Partial<Record<string, string>>
    }
    const { 'tls.crt': chain = '', 'tls.key': key = '' } = stringData
    const issuer = new X509Certificate(chain)
    expect(issuer.checkPrivateKey(createPrivateKey(key))).toBe(true)
    expect(issuer.checkIssued(root)).toBe(true)
    // cert-manager takes the last certificate for ca.crt.
    expect(chain.endsWith(root.toString())).toBe(true)
    const { value } = await json(args)
    expect(value).toMatchObject({ objects, warnings: [expect.stringContaining('signing key')] })

    // What cert-manager does with it, done by OpenSSL.
    const file = (name: string, text?: string): string => {
      if (text !== undefined) writeFileSync(join(directory, name), text, { mode: 0o600 })
      return join(directory, name)
    }
    const [ca, caKey, rootFile] = [
      file('ca.pem', chain),
      file('ca-key.pem', key),
      file('root.pem', root.toString()),
    ]
    const request = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256']
    const name = ['-nodes', '-subj', '/', '-addext', 'subjectAltName=critical,DNS:shop.example']
    const output = ['-keyout', file('leaf-key.pem'), '-out', file('leaf.pem')]
    const signed = await runTool('openssl', [
      ...[...request, ...name, ...output, '-CA', ca, '-CAkey', caKey, '-days', '1'],
      ...['-addext', 'basicConstraints=critical,CA:FALSE'],
    ])
    expect(signed, signed.stderr).toMatchObject({ exitCode: 0 })
    const purpose = ['-purpose', 'sslserver', '-verify_hostname', 'shop.example']
    const trust = ['-CAfile', rootFile, '-untrusted', ca]
    const verified = await runTool('openssl', ['verify', ...trust, ...purpose, file('leaf.pem')])
    expect(verified.stdout).toBe(`${file('leaf.pem')}: OK\n`)
  })

  test('and what they refuse is found', async () => {
    const wrong = [
      { apiVersion: 'v1', kind: 'Secret', stringData: { secret: 1 } },
      { apiVersion: 'cert-manager.io/v1', kind: 'ClusterIssuer', spec: { acme: { server: 'x' } } },
      { apiVersion: 'v1', kind: 'ConfigMap', dta: {} },
    ]
    expect(await faults(wrong)).toMatch(/secret must be string[^]*privateKeySecretRef[^]*'"dta"'/)
  })
})

test('a file that others may read gets the key of the binding with a warning', async () => {
  const daemon = await openDaemon()
  const directory = mkdtempSync(join(tmpdir(), 'rootling-kubernetes-'))
  onTestFinished(() => rm(directory, { recursive: true }))
  const file = join(directory, 'issuer.yaml')
  const print = (mask: string) => {
    const script = `umask ${mask}; rm -f "$1"; exec "$2" "$3" kubernetes > "$1"`
    return daemon.run('sh', ['-c', script, 'sh', file, process.execPath, command])
  }
  const open = await print('022')
  expect(open).toMatchObject({
    exitCode: 0,
    stderr: expect.stringMatching(
      /^Warning: Others may read the file that gets this output, .* umask 077\n$/,
    ) as string,
  })
  expect(readFileSync(file, 'utf8')).toContain('kind: Secret')
  expect(await print('077')).toMatchObject({ exitCode: 0, stderr: '' })
})

test.skipIf(!ruby)('any string is written so that YAML reads the same', async () => {
  const value = {
    no: 'yes',
    a: ['0x1', '12:30', '~', '', '# x', 'a: b', '- c', "it's", '"', '\\', 'ü\u2028', 'null'],
    b: [{ c: { d: 'e' }, f: [] }, ['g', 'h']],
    pem: '-----BEGIN X-----\nAA==\n-----END X-----\n',
    empty: {},
  }
  expect(await documents(yamlLines(value).join('\n'))).toEqual([value])
})

describe('what no cluster could use is refused', () => {
  test('the daemon that is not there, or answers on loopback alone', async () => {
    const { rootling, createAuthority } = openHome()
    expect((await rootling(['kubernetes'])).stderr).toMatch(
      /^Error: There is no certificate authority yet\.\n.* rootling install\n$/,
    )
    await createAuthority()
    const { exitCode, stdout, stderr } = await rootling(['kubernetes'])
    expect([exitCode, stdout]).toEqual([1, ''])
    expect(stderr).toMatch(
      /^Error: The daemon is not running\. Pods reach this machine at .*\n.* rootling daemon start --acme-host 172\.18\.0\.1\n$/,
    )
    const daemon = await startDaemon()
    onTestFinished(() => daemon.close())
    const alone = await daemon.run(process.execPath, [command, 'kubernetes'])
    expect([alone.exitCode, alone.stdout]).toEqual([1, ''])
    expect(alone.stderr).toMatch(
      /^Error: The daemon answers ACME on this machine alone, .* Pods reach .*\n.*daemon restart --acme-host 172\.18\.0\.1\n$/,
    )
  })

  test.each(['Dev', 'a_b', '-a', 'a-', '', 'a'.repeat(51)])('the name %j', async (name) => {
    const { rootling } = openHome()
    for (const option of ['name', 'namespace']) {
      const { exitCode, stdout, stderr } = await rootling(['kubernetes', `--${option}=${name}`])
      expect([exitCode, stdout]).toEqual([2, ''])
      expect(stderr).toContain(`Error: --${option} ${name} cannot be a name in Kubernetes.\n`)
    }
  })

  test.each(['localhost', '127.0.0.1', '::1', '0.0.0.0', '::', 'a.localhost', '*.a.test', 'a b'])(
    'as --acme-host %j (and localhost takes it back)',
    async (host) => {
      const { rootling, createAuthority } = openHome()
      await createAuthority()
      const ports = ['--acme-port', '0', '--revocation-port', '0']
      const { exitCode, stderr } = await rootling([
        ...['daemon', 'start', ...ports, `--acme-host=${host}`],
      ])
      await rootling(['daemon', 'stop'])
      if (host === 'localhost') expect(exitCode).toBe(0)
      else expect([exitCode, stderr]).toEqual([2, expect.stringContaining(`--acme-host ${host} `)])
    },
  )

  test('and an address that is not of this machine keeps the daemon from starting', async () => {
    const { rootling, createAuthority } = openHome()
    await createAuthority()
    const ports = ['--acme-port', '1', '--revocation-port', '0']
    const host = ['--acme-host', '192.168.255.254']
    const { exitCode, stderr } = await rootling(['daemon', 'start', ...ports, ...host])
    expect([exitCode, stderr]).toEqual([
      1,
      expect.stringMatching(
        /no address 192\.168\.255\.254\.\n.*rootling daemon start .*--acme-host[ =]localhost\b.*\n/,
      ),
    ])
  })
})

describe('the signing key', () => {
  test('of a scope that stores trust, of clients, or of none is not printed', async () => {
    const { rootling } = await openPrivate()
    const local = await rootling(['kubernetes', '--secret', 'local', '--yes'])
    expect([local.exitCode, local.stdout]).toEqual([2, ''])
    expect(local.stderr).toMatch(
      /^Error: The scope local is not a private one, .*\n.* rootling ca permit --private cluster\n$/,
    )
    await rootling(['ca', 'path', '--client'])
    const clients = await rootling(['kubernetes', '--secret', 'clients', '--yes'])
    expect([clients.exitCode, clients.stdout]).toEqual([2, ''])
    const none = await rootling(['kubernetes', '--secret', 'clster', '--yes'])
    expect([none.exitCode, none.stdout]).toEqual([2, ''])
    expect(none.stderr).toContain('Did you mean cluster?')
  })

  test('goes into a file that others may read only with --yes', async () => {
    const { run, directory } = await openPrivate()
    const file = join(directory, 'issuer.yaml')
    const print = (mode: number, ...args: string[]) => {
      writeFileSync(file, '')
      chmodSync(file, mode)
      const line = [process.execPath, command, 'kubernetes', '--secret', 'cluster', ...args]
      const variables = ['env', `HOME=${directory}`, `ROOTLING_HOME=${directory}/state`]
      return run('sh', ['-c', 'exec "$@" > issuer.yaml', 'sh', ...variables, ...line])
    }
    for (const args of [[], ['--json']]) {
      const { exitCode, stderr } = await print(0o644, ...args)
      expect([exitCode, stderr]).toEqual([
        2,
        expect.stringMatching(/^Error: Others may read the file .*\n.*umask 077\n$/),
      ])
      expect(readFileSync(file, 'utf8')).not.toContain('PRIVATE KEY')
    }
    expect((await print(0o600)).exitCode).toBe(0)
    expect((await print(0o644, '--yes')).exitCode).toBe(0)
    expect(readFileSync(file, 'utf8')).toContain('PRIVATE KEY')
  })

  test.skipIf(!python)('is not shown on a terminal without --yes', async () => {
    const { run, directory } = await openPrivate()
    const script = 'import pty, sys; sys.exit(pty.spawn(sys.argv[1:]) >> 8)'
    const show = (...args: string[]) => {
      const line = [process.execPath, command, 'kubernetes', '--secret', 'cluster', ...args]
      const variables = ['env', `HOME=${directory}`, `ROOTLING_HOME=${directory}/state`]
      return run('python3', ['-c', script, ...variables, ...line])
    }
    const refused = await show()
    expect(refused.exitCode).toBe(2)
    expect(refused.stdout.replaceAll(/\s+/g, ' ')).toMatch(
      /not shown on a terminal.*→ Add --yes, or: .*--secret cluster \| kubectl apply -f - $/,
    )
    expect(refused.stdout).not.toContain('PRIVATE KEY')
    const agreed = await show('--yes')
    expect(agreed.exitCode).toBe(0)
    expect(agreed.stdout).toContain('PRIVATE KEY')
  })
})
