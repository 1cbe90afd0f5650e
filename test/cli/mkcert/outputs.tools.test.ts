import { mkdirSync, readdirSync, realpathSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { builtPrograms } from '../../helpers/built.ts'
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
