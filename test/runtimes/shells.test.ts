import { describe, expect, test } from 'vitest'
import { envSpec } from '../../src/cli/specs/runtimes.ts'
import { formFor, formNamed, textFor } from '../../src/runtimes/shells.ts'

const changes = (value: string | null) => new Map([['NAME', value]])

test.each([
  ['/bin/bash', 'bash'],
  ['/bin/sh', 'bash'],
  ['/usr/bin/zsh', 'zsh'],
  ['/usr/bin/fish', 'fish'],
  ['/usr/local/bin/pwsh', 'powershell'],
  ['C:\\Program Files\\Git\\usr\\bin\\bash.exe', 'bash'],
])('SHELL=%s is spoken to as %s', (SHELL, form) => {
  expect(formFor({ SHELL })).toBe(form)
})

test('without SHELL the form is that of the system', () => {
  expect(formFor({}, 'linux')).toBe('bash')
  expect(formFor({}, 'win32')).toBe('powershell')
})

test('a shell that reads none of the forms is refused', () => {
  expect(() => formFor({ SHELL: '/bin/tcsh' })).toThrow(
    expect.objectContaining({
      code: 'usage',
      message: 'SHELL names /bin/tcsh, for which there is no form of output.',
      hint: 'In every shell: rootling run -- COMMAND; for another shell: rootling env --shell bash|zsh|fish|powershell|dotenv|json',
    }),
  )
})

test('every name that --shell takes has a form, and so has each POSIX shell', () => {
  const choices: readonly string[] = envSpec.options.shell.choices
  expect(choices.filter((name) => formNamed(name) === null)).toEqual([])
  for (const name of ['sh', 'dash', 'ksh'])
    expect([choices.includes(name), formNamed(name)]).toEqual([true, 'bash'])
  expect([choices.includes('pwsh'), formNamed('pwsh')]).toEqual([true, 'powershell'])
  expect(formNamed('constructor')).toBe(null)
})

// about_Quoting_Rules: in a string in single quotes only a quote means something else than itself,
// and is written twice; the typographic quotes U+2018 to U+201B are quotes too.
test('PowerShell reads every quote of a value as a letter', () => {
  const value = String.raw`C:\a b\$HOME` + '`n"\'‘’‚‛'
  const text = textFor('powershell', changes(value))
  const [, quoted = ''] = /^\$env:NAME = '(.*)'\n$/.exec(text) ?? []
  expect(quoted.replaceAll(/(['‘’‚‛])\1/g, '$1')).toBe(value)
  expect(quoted.replaceAll(/(['‘’‚‛])\1/g, '')).not.toMatch(/['‘’‚‛]/)
  expect(textFor('powershell', changes(null))).toBe(
    'Remove-Item -LiteralPath Env:NAME -ErrorAction Ignore\n',
  )
})

describe('values that not every reader gets back are refused', () => {
  test.each(['bash', 'zsh', 'fish', 'powershell', 'dotenv'] as const)('%s', (form) => {
    for (const character of ['\n', '\r', '\u001b', '\0'])
      expect(() => textFor(form, changes(`/a${character}b`))).toThrow(
        expect.objectContaining({
          code: 'usage',
          message: expect.stringMatching(/^NAME would be .*, and control characters cannot/),
        }),
      )
  })
  test('a single quote in a dotenv file', () => {
    expect(() => textFor('dotenv', changes("/it's"))).toThrow(
      expect.objectContaining({ code: 'usage' }),
    )
  })
})

test('JSON has null for what is taken out, and nothing of what only shells need', () => {
  const text = textFor(
    'json',
    new Map([
      ['A', 'x\ny'],
      ['B', null],
      ['ROOTLING_ENV', '{}'],
    ]),
  )
  expect(JSON.parse(text)).toEqual({ A: 'x\ny', B: null })
})
