import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { ensureBuilt, project } from '../../helpers/built.ts'
import { namespaceUnavailable, type Namespace } from '../../helpers/namespace.ts'
import { rootlingIn, type Answer } from '../../helpers/rootling.ts'
import { scrubbedEnvironment } from '../../helpers/scrubbed.ts'
import { testNamespace } from '../../helpers/test-namespace.ts'
import { chromiumClient } from '../e2e/client-chromium.ts'
import { notInstalled, visit } from '../e2e/client.ts'
import { readAction, runAction } from './github-runner.ts'

// The action and the lines of docs/ci.md are run as they stand, with the packed package in place of
// npm's registry.

const missing = await Promise.all(
  ['curl', 'certutil', 'chromium', 'update-ca-certificates'].map(notInstalled),
)
const obstacle = namespaceUnavailable() ?? missing.find((reason) => reason !== null) ?? null
const skipNote = obstacle === null ? '' : ` [skipped: ${obstacle}]`
const manifest = JSON.parse(readFileSync(join(project, 'package.json'), 'utf8')) as {
  version: string
  repository?: { url: string }
}
const documentText = readFileSync(join(project, 'docs/ci.md'), 'utf8')
const blocks = [...documentText.matchAll(/^```yaml\n(.*?)^```$/gms)].map(([, text]) => text ?? '')

describe('action.yml', () => {
  test('is valid by the schema of GitHub, and no input is part of a script', () => {
    // Its types name a module of WebAssembly.
    const require = createRequire(import.meta.url)
    const { validateAction } = require('@action-validator/core') as {
      validateAction: (text: string) => { errors: readonly unknown[] }
    }
    const text = readFileSync(join(project, 'action.yml'), 'utf8')
    expect(validateAction(text).errors).toEqual([])
    expect(validateAction(text.replaceAll('shell: bash', '')).errors).not.toEqual([])
    const { inputs, outputs, runs } = readAction()
    for (const { run, env = {} } of runs.steps) {
      expect(run).not.toContain('${{')
      for (const value of Object.values(env)) {
        const input = /^\$\{\{ inputs\.(\w+) \}\}$/.exec(value)?.[1] ?? ''
        expect(Object.keys(inputs)).toContain(input)
      }
    }
    // The document names each input and output, and the repository of the package.
    for (const name of [...Object.keys(inputs), ...Object.keys(outputs)])
      expect(documentText).toContain(`\`${name}\``)
    const repository = /github\.com\/([^/]+\/[^/.]+)/.exec(manifest.repository?.url ?? '')?.[1]
    expect(documentText).toContain(`uses: ${repository ?? 'rootling/rootling'}@v0\n`)
    expect(documentText).toContain(`rootling@${manifest.version}\n`)
  })
})

describe.skipIf(obstacle !== null)(`HTTPS in a job of CI${skipNote}`, () => {
  let directory = ''
  let path = ''

  beforeAll(() => {
    ensureBuilt()
    directory = mkdtempSync(join(tmpdir(), 'rootling-ci-'))
    execFileSync('npm', ['pack', '--silent', '--ignore-scripts', '--pack-destination', directory], {
      cwd: project,
    })
    const modules = join(directory, 'installed/lib/node_modules')
    const bin = join(directory, 'installed/bin')
    for (const each of [modules, bin, join(directory, 'path')]) mkdirSync(each, { recursive: true })
    const tarball = join(directory, `rootling-${manifest.version}.tgz`)
    execFileSync('tar', ['-xzf', tarball, '-C', modules])
    execFileSync('mv', [join(modules, 'package'), join(modules, 'rootling')])
    symlinkSync(join(project, 'node_modules'), join(modules, 'rootling/node_modules'))
    symlinkSync('../lib/node_modules/rootling/dist/cli/rootling.cjs', join(bin, 'rootling'))
    // npm itself, but for the two lines that install the package.
    const npm = `#!/bin/sh
case "$*" in
"install --global --prefix $RUNNER_TEMP/rootling --ignore-scripts --no-audit --no-fund rootling@${manifest.version}")
  cp -a '${directory}/installed' "$RUNNER_TEMP/rootling" ;;
"install --global --ignore-scripts rootling@${manifest.version}")
  ln -s '${bin}/rootling' '${directory}/path/rootling' ;;
"test") exec sh -c "$NPM_TEST" ;;
*) echo "npm $*?" >&2; exit 64 ;;
esac
`
    writeFileSync(join(directory, 'path/npm'), npm, { mode: 0o755 })
    path = `${directory}/path:${scrubbedEnvironment('/')['PATH']}:${dirname(process.execPath)}`
  })

  /** What curl, Node and Chromium make of a page that is served with these files. */
  async function seen(
    namespace: Namespace,
    env: Readonly<Record<string, string>>,
    files: { readonly certificate: string; readonly key: string },
  ): Promise<string[]> {
    const { must, serve } = rootlingIn(namespace)
    const { certificate, key } = files
    const { url, close } = await serve(['--port=0', '--cert-file', certificate, '--key-file', key])
    // A certificate of nobody is refused all the same.
    const own = ['--cert-file', '/tmp/own.pem', '--key-file', '/tmp/own-key.pem']
    await must(['issue', 'localhost', '--self-signed', ...own])
    const other = await serve(['--port=0', ...own])
    const refused = await namespace.run('curl', ['-sS', other.url], { env })
    expect(refused).toMatchObject({ exitCode: 60, stdout: '' })
    other.close()
    const fetching = `fetch(process.argv[1]).then((answer) => console.log(answer.status))`
    const status = ['-sS', '-o', '/dev/null', '-w', '%{http_code}\n', url]
    try {
      const curl = await namespace.must('curl', status, { env })
      const bare = await namespace.must('curl', status)
      const node = await namespace.must(process.execPath, ['-e', fetching, url], { env })
      const [page] = await visit(chromiumClient, namespace, [url])
      return [curl, bare, node].map(({ stdout }) => stdout.trim()).concat(String(page?.trusted))
    } finally {
      close()
    }
  }

  test('the action makes curl, Node and Chromium trust a server with its certificate', async () => {
    const namespace = await testNamespace()
    const injection = '$(touch /pwned)`touch /pwned`";touch /pwned;"'
    const refused = runAction(namespace, { version: `1.0.0${injection}` }, path)
    await expect(refused).rejects.toThrow('::error::The input version is not a version')
    const directoryInput = `${namespace.home}/it's ${injection}`.replaceAll('/pwned', 'pwned')
    const names = 'localhost\n127.0.0.1 ::1 *.dev.test'
    const { env, outputs } = await runAction(namespace, { names, directory: directoryInput }, path)
    expect(outputs).toMatchObject({
      certificate: `${directoryInput}/certificate.pem`,
      key: `${directoryInput}/key.pem`,
    })
    expect(await namespace.readFile(outputs['root'] ?? '')).toContain('BEGIN CERTIFICATE')
    expect(Object.keys(env)).toEqual(
      expect.arrayContaining(['NODE_EXTRA_CA_CERTS', 'SSL_CERT_FILE', 'CURL_CA_BUNDLE']),
    )
    const { certificate = '', key = '' } = outputs
    expect(await seen(namespace, env, { certificate, key })).toEqual(['200', '200', '200', 'true'])
    expect(await namespace.readFile('/pwned')).toBeNull()
    // In a later step, the command is there too.
    const listed = await namespace.must('sh', ['-c', 'rootling list --json'], { env })
    const { certificates } = JSON.parse(listed.stdout) as Answer
    expect(certificates?.map((each) => each.names)).toContainEqual(names.split(/\s/))
  })

  test('the lines for GitLab do so too', async () => {
    const namespace = await testNamespace()
    const { test: job } = parse(blocks[1] ?? '') as {
      test: { variables: Record<string, string>; before_script: string[]; script: string[] }
    }
    // GitLab's runner joins the lines of both to one script.
    const script = ['set -eo pipefail', ...job.before_script, ...job.script].join('\n')
    const env = { ...job.variables, PATH: path, NPM_TEST: 'env > /tmp/environment' }
    await namespace.must('bash', ['-c', script], { env })
    const lines = ((await namespace.readFile('/tmp/environment')) ?? '').split('\n')
    const variables = lines.flatMap((line) => {
      const [, name, value] = /^(\w+(?:_CA_|_CERT)\w*)=(.*)$/.exec(line) ?? []
      return name === undefined ? [] : [[name, value ?? ''] as const]
    })
    expect(variables.map(([name]) => name)).toContain('NODE_EXTRA_CA_CERTS')
    const files = { certificate: '/tmp/certificate.pem', key: '/tmp/key.pem' }
    const found = await seen(namespace, Object.fromEntries(variables), files)
    expect(found).toEqual(['200', '200', '200', 'true'])
  })
})
