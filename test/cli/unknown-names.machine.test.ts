import { describe, expect, test } from 'vitest'
import { namespaceUnavailable } from '../helpers/namespace.ts'
import { rootlingIn } from '../helpers/rootling.ts'
import { testNamespace } from '../helpers/test-namespace.ts'

const obstacle = namespaceUnavailable()
const skipNote = obstacle === null ? '' : ` [skipped: ${obstacle}]`

// Each command with a NAME that nothing has; `code` is the one of --json.
const unknown: readonly (readonly [line: string, code: string])[] = [
  ['renew nope', 'usage'],
  ['revoke nope', 'usage'],
  ['revoke 4a4a4a4a4a4a4a4a', 'usage'],
  ['revoke nope --release', 'usage'],
  ['forget nope', 'usage'],
  ['show nope', 'file-unreadable'],
  ['show 4a4a4a4a4a4a4a4a', 'usage'],
  ['install-client nope', 'file-unreadable'],
  ['untrust nope', 'usage'],
  ['issue localhost --scope nope --stdout', 'no-scope'],
  ['crl --scope nope', 'no-scope'],
  ['ca export nope', 'no-scope'],
  ['ca path nope', 'no-scope'],
  ['ca show nope', 'no-scope'],
  ['ca forget nope --yes', 'no-scope'],
  ['ca rotate nope --yes', 'no-scope'],
  ['ca rotate nope --dry-run', 'no-scope'],
  ['ca permit a.example.com --name nope --add --yes', 'no-scope'],
]

describe.skipIf(obstacle !== null)(`a NAME that nothing has${skipNote}`, () => {
  test('makes every command exit with 2, with the name and a hint, and change nothing', async () => {
    const namespace = await testNamespace()
    const { must, json } = rootlingIn(namespace)
    await must(['install', '--yes', '--stores', 'none'])
    const state = () => namespace.readTree(`${namespace.home}/.local/share/rootling`)
    const before = await state()
    for (const [line, code] of unknown) {
      const { exitCode, answer } = await json(line.split(' '))
      const name = /nope|4a4a4a4a4a4a4a4a/.exec(line)?.[0]
      expect({ line, exitCode, error: answer.error }).toEqual({
        line,
        exitCode: 2,
        error: {
          code,
          message: expect.stringContaining(name ?? ''),
          hint: expect.stringMatching(/./),
        },
      })
    }
    expect(await state()).toEqual(before)
  })
})
