import { describe, expect, test } from 'vitest'
import { mkcertCommand } from '../helpers/built.ts'
import { namespaceUnavailable } from '../helpers/namespace.ts'
import { rootlingIn, storeTrees } from '../helpers/rootling.ts'
import { testNamespace } from '../helpers/test-namespace.ts'

const obstacle = namespaceUnavailable()
const skipNote = obstacle === null ? '' : ` [skipped: ${obstacle}]`

const lines = [
  'issue localhost',
  'issue localhost --if-needed',
  'renew --all',
  'revoke localhost',
  'list',
  'status',
  'serve --port 0',
  'daemon start',
  'daemon run',
  'install --yes',
  'ca permit dev.example.com --yes',
  'ca rotate --yes',
  'uninstall --yes',
  'uninstall --delete-ca --yes',
]

describe.skipIf(obstacle !== null)(`a state directory of a newer version${skipNote}`, () => {
  test('makes every command exit with 1 and say what to type, and stays as it is', async () => {
    const namespace = await testNamespace()
    const { must, run, json } = rootlingIn(namespace)
    await must(['install', '--yes', '--stores', 'nss'])
    await must(['issue', 'localhost', '--out-dir', namespace.home])
    const state = `${namespace.home}/.local/share/rootling`
    await namespace.writeFile(`${state}/version`, '4\n')
    const before = await storeTrees(namespace)
    const message = `${state} has version 4, which a newer Rootling wrote; this one knows versions up to 3.`
    const hint =
      'Update Rootling, and restart what still runs an older one: npm install -g rootling@latest, or by what else installed it'
    for (const line of lines) {
      const { exitCode, answer } = await json(line.split(' '))
      expect({ line, exitCode, error: answer.error }).toEqual({
        line,
        exitCode: 1,
        error: { code: 'newer-state', message, hint },
      })
    }
    for (const line of [['localhost'], ['-install'], ['-uninstall']]) {
      const { exitCode, stderr } = await namespace.run(process.execPath, [mkcertCommand, ...line])
      expect({ line, exitCode }).toEqual({ line, exitCode: 1 })
      expect(stderr).toContain('has version 4, which a newer Rootling wrote')
    }
    expect(await storeTrees(namespace)).toEqual(before)
    const help = await run(['--help'])
    expect(help.exitCode).toBe(0)
    // With the Rootling that wrote it, all goes on.
    await namespace.writeFile(`${state}/version`, '2\n')
    await must(['uninstall', '--yes', '--stores', 'nss'])
  })
})
