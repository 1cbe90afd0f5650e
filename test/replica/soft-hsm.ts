import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { run } from '../helpers/subprocess.ts'

const modulePath = '/usr/lib/softhsm/libsofthsm2.so'

/** Whether SoftHSM and OpenSC are installed; what a test's title says where they are not. */
export const hasSoftHsm = existsSync(modulePath) && existsSync('/usr/bin/pkcs11-tool')
export const skippedHsm = hasSoftHsm ? '' : ' (skipped: softhsm2 or opensc is not installed)'

/** A token of SoftHSM in a directory of its own, with an RSA key, until the test ends. */
export async function openToken() {
  const directory = await mkdtemp(join(tmpdir(), 'rootling-hsm-'))
  onTestFinished(() => rm(directory, { recursive: true, force: true }))
  const [conf, pinFile] = [join(directory, 'conf'), join(directory, 'pin')]
  const tokens = `directories.tokendir = ${directory}\nobjectstore.backend = file\n`
  await writeFile(conf, `${tokens}log.level = ERROR\n`)
  await writeFile(pinFile, '87654321\n', { mode: 0o600 })
  const env = { SOFTHSM2_CONF: conf }
  const must = async (program: string, ...args: string[]): Promise<string> => {
    const { exitCode, stdout, stderr } = await run(program, args, {
      ...env,
      PATH: process.env['PATH'] ?? '',
    })
    if (exitCode !== 0) throw new Error(stderr)
    return stdout
  }
  const line = ['--init-token', '--free', '--label', 'ca', '--so-pin', '12345678']
  await must('softhsm2-util', ...line, '--pin', '87654321')
  const tool = (...args: string[]) =>
    must(
      'pkcs11-tool',
      ...['--module', modulePath, '--token-label', 'ca', '--login', '--pin', '87654321', ...args],
    )
  const makeKey = (label: string, id: string, type = 'rsa:2048') =>
    tool('--keypairgen', '--key-type', type, '--usage-decrypt', '--label', label, '--id', id)
  // The one to be found is not the first.
  await makeKey('other', '01')
  await makeKey('rootling', '02')
  const uriOf = (key = 'object=rootling', pin = pinFile, token = 'ca', path = modulePath): string =>
    `pkcs11:token=${token};${key}?module-path=${path}&pin-source=file:${pin}`
  return { directory, env, pinFile, tool, makeKey, uriOf }
}
