import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { buildStandalone } from '../helpers/standalone.ts'
import { run } from '../helpers/subprocess.ts'
import { temporaryDirectory } from '../helpers/temporary.ts'
import { runTool } from '../helpers/tools.ts'

// The executable for another processor, as built here. QEMU runs it.

const libraries = '/usr/aarch64-linux-gnu'
const missing = ['/usr/bin/qemu-aarch64', `${libraries}/lib/libstdc++.so.6`].find(
  (path) => !existsSync(path),
)
const noted = missing === undefined ? '' : ` [skipped: there is no ${missing}]`

describe.skipIf(missing !== undefined || process.arch !== 'x64')(`for linux-arm64${noted}`, () => {
  test('issues what OpenSSL accepts', async () => {
    const directory = await temporaryDirectory()
    const program = buildStandalone(directory, 'linux-arm64')
    const env = { PATH: '/usr/bin:/bin', HOME: directory, ROOTLING_HOME: join(directory, 'state') }
    const rootling = (...args: string[]) =>
      run('qemu-aarch64', ['-L', libraries, program, ...args], env)
    expect(await rootling('issue', 'localhost', '--out-dir', directory)).toMatchObject({
      exitCode: 0,
    })
    const root = join(directory, 'state/scopes/local/root.pem')
    const leaf = join(directory, 'localhost.pem')
    const verified = await runTool('openssl', ['verify', '-CAfile', root, '-untrusted', leaf, leaf])
    expect(verified.stdout).toContain(': OK')
  })
})
