import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { complaintOf, expectSuccess, localeOf } from '../../platform/command.ts'
import { temporaryDirectory } from '../helpers/temporary.ts'

describe('the locale of tools', () => {
  const german = { LANG: 'de_DE.UTF-8', LC_ALL: '' }

  test('is C.UTF-8, whatever the person’s is', async () => {
    const locales = await temporaryDirectory()
    expect(localeOf(german, 'linux', join(locales, 'absent'))).toEqual({ LC_ALL: 'C.UTF-8' })
    await writeFile(join(locales, 'locale-archive'), '')
    await mkdir(join(locales, 'C.utf8'))
    expect(localeOf(german, 'linux', locales)).toEqual({ LC_ALL: 'C.UTF-8' })
    expect(localeOf(german, 'darwin', locales)).toEqual({ LC_ALL: 'en_US.UTF-8' })
  })

  test('has the person’s character set where there is no C.UTF-8, and no translations', async () => {
    const locales = await temporaryDirectory()
    await writeFile(join(locales, 'locale-archive'), '')
    expect(localeOf(german, 'linux', locales)).toEqual({
      LANG: 'C',
      LC_MESSAGES: 'C',
      LC_CTYPE: 'de_DE.UTF-8',
    })
    for (const env of [{}, { LANG: 'C' }, { LANG: 'de_DE.UTF-8', LC_ALL: 'de_DE.ISO-8859-1' }])
      expect(localeOf(env, 'linux', locales)).toEqual({ LC_ALL: 'C.UTF-8' })
  })
})

test.each([
  [
    'Certificate was added to keystore\n',
    'keytool error: java.io.FileNotFoundException: /x (Permission denied)\n',
    'keytool error: java.io.FileNotFoundException: /x (Permission denied)',
  ],
  ['warned\nsecurity library: bad database. SEC_ERROR_X\nnote\n', 'done\n', /SEC_ERROR_X$/],
  ['first\nlast\n', 'done\n', 'last'],
  ['', 'Running hooks\nno\n', 'no'],
  ['', '', ''],
])('of stderr %j and stdout %j the line with the error is shown', (stderr, stdout, said) => {
  const result = { exitCode: 1, stdout, stderr }
  expect(complaintOf(result)).toEqual(typeof said === 'string' ? said : expect.stringMatching(said))
  expect(() => expectSuccess('tool', result)).toThrow(
    said === '' ? /^tool ended with exit code 1\.$/ : said,
  )
})
