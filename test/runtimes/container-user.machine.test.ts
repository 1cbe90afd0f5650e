import { dirname } from 'node:path'
import { describe, expect, test } from 'vitest'
import { commandForEverybody } from '../helpers/for-everybody.ts'
import { namespaceUnavailable } from '../helpers/namespace.ts'
import { testNamespace } from '../helpers/test-namespace.ts'

const obstacle = namespaceUnavailable()
const skipNote = obstacle === null ? '' : ` [skipped: ${obstacle}]`

/** As OpenShift gives them to containers: no line of /etc/passwd has this number, and `/` is the home. */
const user = ['--reuid=1000650000', '--regid=0', '--clear-groups', '--no-new-privs']

describe.skipIf(obstacle !== null)(`a user without a name, in a container${skipNote}`, () => {
  test('issues, serves, starts the daemon and uses the library where one directory can be written', async () => {
    const namespace = await testNamespace({ ownLoopback: true })
    const [node, script] = await commandForEverybody(namespace)
    const data = `${dirname(namespace.home)}/data`
    const library = script.replace(/cli\/rootling\.cjs$/, 'library/index.js')
    // A root that can only be read, no sudo, and one volume.
    await namespace.must('sh', [
      '-c',
      `mkdir -m 0770 "$1" && chown 1000650000:0 "$1" && mount -t tmpfs -o mode=0770,uid=1000650000,gid=0 data "$1"
       mount --bind /dev/null /usr/bin/sudo; mount -o remount,bind,ro /`,
      'sh',
      data,
    ])
    const as = (variables: Readonly<Record<string, string>>, ...line: string[]) => {
      const words = Object.entries(variables).map(([name, value]) => `${name}=${value}`)
      return namespace.run('setpriv', [
        ...user,
        'env',
        '-i',
        `PATH=/usr/bin:/bin`,
        ...words,
        ...line,
      ])
    }
    const home = { HOME: '/', ROOTLING_HOME: `${data}/state`, TMPDIR: data }
    const rootling = (...args: string[]) => as(home, node, script, ...args)

    const refused = await as({ HOME: '/' }, node, script, 'issue', 'localhost')
    expect(refused).toMatchObject({
      exitCode: 2,
      stdout: '',
      stderr: expect.stringMatching(/^Error: The home directory is \/.*\n {2}→ .*ROOTLING_HOME/),
    })

    const out = `${data}/tls`
    const issued = await rootling('issue', 'localhost', '127.0.0.1', '--out-dir', out)
    expect(issued).toMatchObject({ exitCode: 0 })
    const served = namespace.spawn('setpriv', [
      ...[...user, 'env', '-i', ...Object.entries(home).map(([name, value]) => `${name}=${value}`)],
      ...[node, script, 'serve', '--port', '8443', 'localhost'],
    ])
    served.stderr.resume()
    served.stdout.resume()
    const root = (await rootling('ca', 'path')).stdout.trim()
    const get = [
      '--retry',
      '300',
      '--retry-delay',
      '0',
      '--retry-connrefused',
      '-sSf',
      '-o',
      `${data}/page`,
    ]
    const page = await as({}, 'curl', ...get, '--cacert', root, 'https://localhost:8443/')
    expect(page).toMatchObject({ exitCode: 0 })

    const daemon = await rootling('daemon', 'start', '--json')
    expect(daemon).toMatchObject({ exitCode: 0 })
    const { listening } = JSON.parse(daemon.stdout)
    expect(listening).not.toEqual([])
    expect(await rootling('daemon', 'stop')).toMatchObject({ exitCode: 0 })

    const code = `const { certificateFor } = await import(${JSON.stringify(library)})
      const { cert, keyPath } = await certificateFor('app.localhost')
      const { X509Certificate } = await import('node:crypto')
      console.log(new X509Certificate(cert).subjectAltName, keyPath.startsWith(process.env.ROOTLING_HOME))`
    expect(await as(home, node, '--input-type=module', '-e', code)).toMatchObject({
      exitCode: 0,
      stdout: 'DNS:app.localhost true\n',
    })
    // Its stores are nobody's to write: it is said which, and the certificates are as good as before.
    const install = await rootling('install', '--yes', '--json')
    expect(install.exitCode).toBe(3)
    expect((await rootling('issue', 'b.localhost', '--out-dir', out)).exitCode).toBe(0)
    const modes = await namespace.must('find', [data, '-name', '*key.pem', '-printf', '%m %U\\n'])
    expect(new Set(modes.stdout.trim().split('\n'))).toEqual(new Set(['600 1000650000']))
  })
})
