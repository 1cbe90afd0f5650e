import * as fc from 'fast-check'
import { describe, expect, test, vi } from 'vitest'
import { globalOptions, type OptionSpec } from '../../src/cli/command.ts'
import { groups } from '../../src/cli/command-groups.ts'
import { answerQuestion } from '../../src/cli/help.ts'
import { findCommand } from '../../src/cli/line.ts'
import { contradiction, parseLine } from '../../src/cli/parse.ts'
import { commands } from '../../src/cli/table.ts'
import { explain } from '../../src/cli/yargs.ts'
import { parts, scattered } from './typed-lines.ts'

vi.stubGlobal('VERSION', '0.0.0')

const byName = commands.map(({ spec }) => [spec.name, spec] as const)

/** What a line means: its command and the arguments; reads it as `main` does, and runs nothing. */
function meaning(argv: readonly string[]) {
  const { row, rest } = findCommand(argv)
  return { name: row?.spec.name, parsed: row === undefined ? null : parseLine(row.spec, rest) }
}

describe('a line means the same', () => {
  test.for(byName)('wherever the options of rootling %s stand', ([name, spec]) => {
    const lines = parts(spec).chain(({ positionals, flags }) => {
      const words = [...name.split(' '), ...positionals]
      return fc.record({
        plain: fc.constant([...words, ...flags.flat()]),
        mixed: scattered(words, flags),
      })
    })
    fc.assert(
      fc.property(lines, ({ plain, mixed }) => {
        expect(meaning(plain)).toMatchObject({ name, parsed: expect.anything() })
        expect(meaning(mixed)).toEqual(meaning(plain))
      }),
      { numRuns: 200 },
    )
  })

  test('wherever options stand beside names alone', () => {
    const issue = commands.find(({ spec }) => spec.name === 'issue')?.spec
    if (issue === undefined) throw new Error('there is no command issue')
    const lines = parts(issue).chain(({ flags }) => scattered(['b.test', 'localhost'], flags))
    fc.assert(
      fc.property(lines, (argv) => {
        expect(meaning(argv)).toMatchObject({
          name: 'issue',
          parsed: { positionals: ['b.test', 'localhost'] },
        })
      }),
    )
  })
})

test.each([
  [['--json', 'localhost']],
  [['-q', 'localhost']],
  [['--ca', 'x', 'localhost']],
  [['--days', '30', 'b.test']],
  [['--', 'localhost']],
  [['--client', 'alice']],
])('%j issues', (argv) => {
  expect(meaning(argv)).toMatchObject({ name: 'issue', parsed: expect.anything() })
})

test('an option takes a value in every command that has it, or in none', () => {
  const kinds = new Map<string, boolean>()
  for (const { spec } of [...commands, { spec: { options: globalOptions } }])
    for (const [name, option] of Object.entries<OptionSpec>(spec.options))
      for (const spelling of [name, ...(option.hidden ?? []), option.alias ?? name]) {
        const takesValue = option.type !== 'boolean'
        expect(kinds.get(spelling) ?? takesValue, spelling).toBe(takesValue)
        kinds.set(spelling, takesValue)
      }
})

describe('help', () => {
  const targets = ['', ...byName.map(([name]) => name), ...Object.keys(groups)]
  const wordsOf = (name: string): string[] => (name === '' ? [] : name.split(' '))

  test.for(targets)('of rootling %s is the same in every way to ask', (name) => {
    const words = wordsOf(name)
    const help = answerQuestion([...words, '--help'])
    expect(help).toMatch(/^\S/)
    for (const argv of [
      ['help', ...words],
      ['--help', ...words],
      ['-h', ...words],
      [...words, '-qh', '--json'],
      ['--ca', 'x', 'help', ...words],
    ])
      expect(answerQuestion(argv), argv.join(' ')).toBe(help)
  })

  test.for(targets)('of rootling %s fits 80 columns and names no types', (name) => {
    const help = answerQuestion([...wordsOf(name), '--help']) ?? ''
    for (const line of help.split('\n')) expect(line.length, line).toBeLessThanOrEqual(80)
    expect(help).not.toMatch(/\[(?:boolean|string|number|array|choices)|undefined/)
  })

  test.for(byName)('of rootling %s has its own options before those of all', ([name, spec]) => {
    const help = answerQuestion([...name.split(' '), '--help']) ?? ''
    const order = ['Options:', 'Examples:', 'Options of every command:']
      .slice(Object.keys(spec.options).length === 0 ? 1 : 0)
      .map((title) => help.indexOf(`\n${title}\n`))
    expect(order).not.toContain(-1)
    expect(order).toEqual(order.toSorted((a, b) => a - b))
    for (const [option, { hidden = [], unlisted }] of Object.entries<OptionSpec>(spec.options)) {
      if (unlisted !== true) expect(help).toContain(`--${option}`)
      for (const spelling of hidden) expect(help).not.toContain(`--${spelling} `)
    }
  })

  test('of the program names rootling-mkcert, ROOTLING_HOME and the exit codes', () => {
    const help = answerQuestion(['--help'])
    for (const word of ['rootling-mkcert', 'ROOTLING_HOME', '5 cancelled'])
      expect(help).toContain(word)
  })

  test.for(byName)('of rootling %s has examples that mean this command', ([name, spec]) => {
    expect(spec.examples).not.toEqual([])
    const own = spec.examples.find((example) => example.startsWith(`rootling ${name}`)) ?? ''
    expect(own, 'an example of this command').not.toBe('')
    for (const example of spec.examples) {
      // The pages of the manual indent them by seven columns, of eighty.
      expect([example, example.length <= 73]).toEqual([example, true])
      const [, ...argv] = example
        .replace(/^eval "\$\((.*)\)"$/, '$1')
        .replace(/ [>|] .*$/, '')
        .replaceAll("'", '')
        .split(' ')
      expect(meaning(argv).parsed, example).not.toBeNull()
    }
  })
})

test.each([
  [['help', 'zebra'], 'There is no command rootling zebra.'],
  [['zebra'], 'There is no command rootling zebra.'],
  [['--json', 'zebra'], 'There is no command rootling zebra.'],
  [['help', 'ca', 'zebra'], 'There is no command rootling ca zebra.'],
  [['ca', '--', 'list'], 'rootling ca needs a command.'],
  [['ca', '--yes'], 'rootling ca needs a command.'],
  [['--port', '80'], '--port goes with a command, and none was given.'],
  [['--zebra'], 'There is no option --zebra.'],
  [['get', 'a', '-v', '-v'], '--verbose was given twice.'],
  [['get', 'a', '-qvq'], '--quiet was given twice.'],
  [['serve', '-p', '1', '--port=2'], '--port was given twice.'],
  [['serve', '-p1', '--port=2'], '--port was given twice.'],
])('%j is refused: %s', async (argv, message) => {
  expect(answerQuestion(argv)).toBeNull()
  expect(meaning(argv).parsed).toBeNull()
  await expect(explain(argv)).rejects.toMatchObject({ code: 'usage', message })
})

test.each([
  [['-install'], '-install', 'rootling install'],
  [['-uninstall'], '-uninstall', 'rootling uninstall'],
  [['-CAROOT'], '-CAROOT', 'rootling ca path'],
  [['-version'], '-version', 'rootling --version'],
  [['-ecdsa', 'shop.test'], '-ecdsa', 'rootling issue'],
  [['-client', 'shop.test'], '-client', 'rootling issue --client'],
  [['-pkcs12', 'shop.test'], '-pkcs12', 'rootling issue --pkcs12'],
  [['shop.test', '-cert-file', 'x'], '-cert-file', 'rootling issue --cert-file'],
  [['issue', '-key-file=x', 'shop.test'], '-key-file', 'rootling issue --key-file'],
  [['-p12-file', 'x', 'shop.test'], '-p12-file', 'rootling issue --p12-file'],
  [['-csr', 'x'], '-csr', 'rootling issue --csr'],
])('a flag of mkcert, as in %j, is named with what does it here', async (argv, flag, instead) => {
  expect(answerQuestion(argv)).toBeNull()
  expect(meaning(argv).parsed).toBeNull()
  await expect(explain(argv)).rejects.toMatchObject({
    code: 'usage',
    message: `There is no option ${flag}, which is a flag of mkcert.`,
    hint: expect.stringMatching(new RegExp(`^rootling-mkcert takes .*; here it is: ${instead}\\b`)),
  })
})

test('words behind -- are no flags of mkcert', async () => {
  await expect(explain(['zebra', '--', '-install'])).rejects.toMatchObject({
    message: 'There is no command rootling zebra.',
  })
})

test.each([
  [
    ['serve', '--mtls', '--mtls-optional'],
    '--mtls and --mtls-optional exclude each other.',
    'Leave out --mtls or --mtls-optional',
  ],
  [
    ['issue', 'localhost', '--password', 'secret'],
    '--password means nothing without --pkcs12 or --p12-file or --legacy-pkcs12 or --encrypt-key.',
    'Add --pkcs12, or leave out --password',
  ],
  [['issue', 'localhost', '--password-file', 'f'], '--password-file means nothing', 'Add --pkcs12'],
  [['localhost', '--pkcs12', '--password=a', '--password-file=b'], 'exclude each other', 'Leave'],
  [['issue', 'localhost', '--stdout', '--force'], 'exclude each other', '--force'],
  [['issue', 'localhost', '--stdout', '--on-renew', 'true'], 'exclude each other', '--on-renew'],
  [['list', '--all', '--due'], '--all and --due exclude each other.', 'Leave out'],
  [['ca', 'export', '--force'], '--force means nothing without --out.', 'Add --out'],
  [['install-client', 'a.p12', '--remove', '--name', 'x'], 'exclude each other', '--name'],
  [['serve', '--cert=a', '--key=b', '--on-demand'], 'exclude each other', '--on-demand'],
  [['crl', '--der', '--format', 'der', '--out', 'f'], 'exclude each other', '--der'],
])('%j is refused, since its options do not go together', async (argv, sentence, hint) => {
  expect(meaning(argv).parsed).toBeNull()
  const refusal = {
    message: expect.stringContaining(sentence),
    hint: expect.stringContaining(hint),
  }
  await expect(explain(argv)).rejects.toMatchObject({ code: 'usage', ...refusal })
})

test.each([
  [
    'get https://a.test --client-cert a --client-key b',
    'get https://a.test --cert-file a --key-file b',
  ],
  ['get https://a.test --cert a --key b', 'get https://a.test --cert-file a --key-file b'],
  ['serve --cert a --key b', 'serve --cert-file a --key-file b'],
  ['ca import --cert a --key b', 'ca import --cert-file a --key-file b'],
  ['install --scope user', 'install --store-scope user'],
])('rootling %s is rootling %s, in an older spelling', async (old, now) => {
  expect(meaning(old.split(' ')).parsed).not.toBeNull()
  expect(meaning(old.split(' '))).toEqual(meaning(now.split(' ')))
  const read = await explain(old.split(' '))
  expect(read?.parsed).toEqual(meaning(now.split(' ')).parsed)
})

test('one name means one thing: no two commands spell the same option differently', () => {
  const spelled = new Map<string, string>()
  for (const { spec } of commands)
    for (const [name, { hidden = [] }] of Object.entries<OptionSpec>(spec.options))
      for (const spelling of hidden) {
        // `issue` and `crl` know --scope as the name of a scope.
        expect(spelled.get(spelling) ?? name, spelling).toBe(name)
        spelled.set(spelling, name)
      }
})

test('options that do not go together are known by their names', () => {
  for (const { spec } of commands)
    for (const [name, option] of Object.entries<OptionSpec>(spec.options)) {
      const { needs = [], excludes = [] } = option
      for (const other of [...needs, ...excludes])
        expect(Object.keys(spec.options), `--${name}`).toContain(other)
      for (const other of excludes)
        expect(contradiction(spec, { [name]: true, [other]: true })).not.toBeNull()
    }
})
