import { mkdirSync, readdirSync, realpathSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { builtPrograms } from '../../helpers/built.ts'
import { scrubbedEnvironment } from '../../helpers/scrubbed.ts'
import { run } from '../../helpers/subprocess.ts'
import { runTool } from '../../helpers/tools.ts'
import { treeOf } from '../../helpers/tree.ts'
import { createSide } from './both.ts'

const says = (path: string, state: string): string =>
  `${path} is in the state directory ${state}, where only the CA keeps its files.\n` +
  '  → Name a path elsewhere, or run the command in another directory\n'

test('rootling-mkcert writes a certificate beside the CA in $CAROOT, and never over the CA', async () => {
  const side = createSide(builtPrograms().mkcert)
  try {
    const cwd = side.directory()
    const at = (name: string): string => join(side.caroot, name)
    const named = ['-cert-file', at('cert.pem'), '-key-file', at('dev.pem'), 'shop.test']
    expect((await side.run(named, cwd)).exitCode).toBe(0)
    expect((await side.run(['www.test'], side.caroot)).exitCode).toBe(0)
    mkdirSync(at('certificates'))
    const before = treeOf(side.caroot)
    const pkcs12 = ['-pkcs12', '-p12-file']
    for (const args of [
      ['-key-file', at('scopes/local/intermediate-key.pem')],
      ['-key-file', at('rootCA.pem')],
      ['-cert-file', at('certificates.jsonl')],
      [...pkcs12, at('scopes/local/intermediate-key.pem')],
    ]) {
      const { exitCode, stderr } = await side.run([...args, 'shop.test'], cwd)
      const said = says(args.at(-1) ?? '', realpathSync(side.caroot))
      expect([exitCode, stderr]).toEqual([1, expect.stringContaining(`ERROR: ${said}`)])
    }
    const below = await side.run(['-cert-file', at('certificates/a.pem'), 'shop.test'], cwd)
    expect(below.exitCode).toBe(1)
    expect(treeOf(side.caroot)).toEqual(before)
    expect(readdirSync(cwd)).toEqual([])
  } finally {
    side.remove()
  }
})

test('rootling-mkcert replaces nothing but files', async () => {
  const side = createSide(builtPrograms().mkcert)
  try {
    const cwd = side.directory()
    await runTool('mkfifo', [join(cwd, 'fifo')])
    const args = ['-pkcs12', '-p12-file', 'fifo', 'shop.test']
    const { exitCode, stderr } = await side.run(args, cwd)
    expect([exitCode, stderr]).toEqual([1, expect.stringContaining('fifo is not a regular file.')])
    expect(statSync(join(cwd, 'fifo')).isFIFO()).toBe(true)
  } finally {
    side.remove()
  }
})

test('rootling-mkcert tells what of the certificate before it does not keep', async () => {
  const { mkcert, rootling } = builtPrograms()
  const side = createSide(mkcert)
  try {
    const cwd = side.directory()
    const at = (name: string): string => join(cwd, name)
    expect((await side.run(['shop.test'], cwd)).stderr).not.toContain('Warning')
    expect((await side.run(['shop.test'], cwd)).stderr).not.toContain('Warning')
    const issue = async (...args: string[]) => {
      const environment = scrubbedEnvironment(side.directory(), { ROOTLING_HOME: side.caroot })
      const line = [`--chdir=${cwd}`, rootling, 'issue', 'shop.test', ...args]
      expect(await run('env', line, environment)).toMatchObject({ exitCode: 0 })
    }
    await issue('--on-renew', 'true', '--pkcs12', '--scope', 'local')
    const { exitCode, stderr } = await side.run(['shop.test'], cwd)
    expect(exitCode).toBe(0)
    const same = `ROOTLING_HOME=${side.caroot} rootling issue shop.test --key-type rsa2048 --cert-file ./shop.test.pem --key-file ./shop.test-key.pem`
    expect(stderr).toContain(
      `Warning: The certificate before had --on-renew true; this one has not. To keep it: ${same} --on-renew true\n`,
    )
    expect(stderr).toContain(
      `Warning: ${at('shop.test.p12')} still holds the old certificate. To write it anew: ${same} --on-renew true --pkcs12\n`,
    )
    await issue('--pkcs12')
    const over = await side.run(['-pkcs12', 'shop.test'], cwd)
    expect(over).toMatchObject({ exitCode: 0 })
    expect(over.stderr).toContain(
      `Warning: ${at('shop.test.p12')} was the .p12 of the certificate in ${at('shop.test.pem')}, whose renewals cannot open this one. To have both: ROOTLING_HOME=${side.caroot} rootling issue shop.test --cert-file ${at('shop.test.pem')} --key-file ${at('shop.test-key.pem')} --p12-file FILE\n`,
    )
  } finally {
    side.remove()
  }
})
