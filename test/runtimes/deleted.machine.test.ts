import { dirname } from 'node:path'
import { describe, expect, test } from 'vitest'
import { command } from '../helpers/built.ts'
import { namespaceUnavailable } from '../helpers/namespace.ts'
import { rootlingIn } from '../helpers/rootling.ts'
import { testNamespace } from '../helpers/test-namespace.ts'

const obstacle = namespaceUnavailable()
const skipNote = obstacle === null ? '' : ` [skipped: ${obstacle}]`

describe.skipIf(obstacle !== null)(
  `the files that variables name, after a deletion${skipNote}`,
  () => {
    test('are named with why they stay, and go by what uninstall says to type', async () => {
      const namespace = await testNamespace()
      const rootling = rootlingIn(namespace)
      const state = `${namespace.home}/.local/share/rootling`
      await rootling.must(['install', '--yes', '--stores', 'none'])
      const { stdout } = await rootling.must(['env', '--replace', '--shell', 'json'])
      const variables = JSON.parse(stdout) as Record<string, string>
      const bundle = variables['SSL_CERT_FILE'] ?? ''
      const deletion = () => rootling.run(['uninstall', '--delete-ca', '--yes'])
      const told = [
        'Left, with the system’s roots alone, since shells and programs may still be told to read them:',
        `  ${bundle.replace(namespace.home, '~')}`,
        'A shell that was told to read them forgets that with: eval "$(rootling env --unset)"',
        'When no shell and no program reads them any more, delete them:',
        `  rm ${bundle}`,
        'Then this deletes their directory too: rootling uninstall --delete-ca',
      ].join('\n')
      expect(await deletion()).toMatchObject({ exitCode: 0, stderr: expect.stringContaining(told) })
      // A second run says the same, and changes nothing.
      const left = await namespace.readTree(state)
      expect(Object.keys(left)).toContain(`${state}/bundles/bundle.pem`)
      expect(await deletion()).toMatchObject({ exitCode: 0, stderr: expect.stringContaining(told) })
      expect(await namespace.readTree(state)).toEqual(left)

      const shell = `eval "$(${process.execPath} ${command} env --unset)"; echo "\${SSL_CERT_FILE-none}"`
      expect((await namespace.must('sh', ['-c', shell], { env: variables })).stdout).toBe('none\n')
      await namespace.must('rm', [bundle])
      const last = await deletion()
      expect(last).toMatchObject({ exitCode: 0 })
      expect(last.stderr).not.toContain('Left')
      expect(await namespace.run('test', ['-e', dirname(dirname(bundle))])).toMatchObject({
        exitCode: 1,
      })
    })
  },
)
