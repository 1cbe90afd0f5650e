import { globalOptions, type CommandSpec, type OptionSpec } from '../../src/cli/command.ts'
import { groupOf, groups } from '../../src/cli/command-groups.ts'
import { commands } from '../../src/cli/table.ts'
import { descriptions, groupDescriptions, mkcertDescription } from './descriptions.ts'
import { bold, example, italic, item, lines, plain, prose } from './troff.ts'

/**
 * Returns the manual by file names: a page for the program, one for each command of one word, and
 * one for each group of commands, as git has them.
 */
export function manualPages(version: string): Record<string, string> {
  const shown = commands.filter(({ hidden }) => hidden !== true).map(({ spec }) => spec)
  const single = shown.filter((spec) => groupOf(spec) === null)
  const pages = [
    programPage(single),
    ...single.map(commandPage),
    ...Object.entries(groups).map(([group, summary]) =>
      groupPage(
        group,
        summary,
        shown.filter((spec) => groupOf(spec) === group),
      ),
    ),
    mkcertPage(),
  ]
  return Object.fromEntries(
    pages.map(({ name, summary, sections }) => [
      `${name}.1`,
      [
        `.\\" Made by the build of Rootling from its table of commands.`,
        `.TH ${plain(name.toUpperCase())} 1 "" "Rootling ${version}" "Rootling"`,
        // Options and commands are neither hyphenated nor spread.
        '.nh',
        '.ad l',
        '.SH NAME',
        `${plain(name)} \\- ${plain(summary)}`,
        ...sections.flatMap(([title, text]) =>
          text.length === 0 ? [] : [`.SH ${title}`, ...text],
        ),
        '',
      ].join('\n'),
    ]),
  )
}

interface Page {
  readonly name: string
  readonly summary: string
  readonly sections: readonly (readonly [title: string, text: readonly string[]])[]
}

type Term = readonly [term: string, text: string]

const items = (terms: readonly Term[]): string[] =>
  terms.flatMap(([term, text]) => item(term, prose(text)))

const paragraphs = (texts: readonly string[]): string[] =>
  texts.flatMap((text, i) => [...(i === 0 ? [] : ['.PP']), ...lines(prose(text))])

function programPage(single: readonly CommandSpec[]): Page {
  const page = (name: string): string => `${bold(`rootling-${name}`)}(1)`
  return {
    name: 'rootling',
    summary: 'trusted HTTPS for localhost: a certificate authority of your own',
    sections: [
      [
        'SYNOPSIS',
        [
          `${bold('rootling')} ${italic('COMMAND')} [${italic('options')}] [${italic('arguments')}]`,
          '.br',
          `${bold('rootling')} ${italic('NAME')}\\|.\\|.\\|.`,
          '.br',
          `${bold('rootling')} ${bold('--help')} | ${bold('--version')}`,
        ],
      ],
      ['DESCRIPTION', paragraphs(descriptions[''] ?? [])],
      [
        'COMMANDS',
        [
          ...single.map(({ name, summary }): Term => [page(name), summary]),
          ...Object.entries(groups).map(([name, summary]): Term => [page(name), summary]),
        ].flatMap(([term, text]) => item(term, plain(text))),
      ],
      ['OPTIONS', items(ofEveryCommand())],
      ['EXIT STATUS', items(exits)],
      ['ENVIRONMENT', items([...ofEveryone, ...ofServers, ...ofStores])],
      ['FILES', items([...stateFiles, ...projectFiles])],
      [
        'EXAMPLES',
        example(['rootling install', 'rootling localhost 127.0.0.1 ::1', 'rootling serve']),
      ],
      [
        'SEE ALSO',
        [`${page('install')}, ${page('issue')}, ${page('doctor')}, ${bold('rootling-mkcert')}(1)`],
      ],
    ],
  }
}

function commandPage(spec: CommandSpec): Page {
  const options = Object.entries<OptionSpec>(spec.options)
  return {
    name: `rootling-${spec.name}`,
    summary: lowerFirst(spec.summary),
    sections: [
      ['SYNOPSIS', [usageOf(spec)]],
      ['DESCRIPTION', paragraphs(descriptions[spec.name] ?? [`${spec.summary}.`])],
      ['OPTIONS', [...items(optionTerms(options)), ...items(ofEveryCommand())]],
      ...around([spec]),
      ['EXAMPLES', example(spec.examples)],
      ['SEE ALSO', ['.BR rootling (1)']],
    ],
  }
}

function groupPage(group: string, summary: string, specs: readonly CommandSpec[]): Page {
  return {
    name: `rootling-${group}`,
    summary: lowerFirst(summary),
    sections: [
      ['SYNOPSIS', specs.flatMap((spec, i) => [...(i === 0 ? [] : ['.br']), usageOf(spec)])],
      ['DESCRIPTION', paragraphs(groupDescriptions[group] ?? [])],
      [
        'COMMANDS',
        specs.flatMap((spec) => [
          `.SS ${plain(spec.name)}`,
          ...paragraphs(descriptions[spec.name] ?? [`${spec.summary}.`]),
          ...items(optionTerms(Object.entries<OptionSpec>(spec.options))),
        ]),
      ],
      ['OPTIONS', items(ofEveryCommand())],
      ...around(specs),
      ['EXAMPLES', example(specs.flatMap(({ examples }) => examples))],
      ['SEE ALSO', ['.BR rootling (1)']],
    ],
  }
}

/** The sections that are the same for all commands of a kind. */
function around(specs: readonly CommandSpec[]): Page['sections'] {
  const isServer = specs.some(({ options }) => 'database' in options)
  const hasStores = specs.some(({ options }) => 'java-storepass-file' in options)
  const isProject = specs.some(({ name }) => ['up', 'down', 'init', 'schema'].includes(name))
  return [
    ['EXIT STATUS', items(exits)],
    [
      'ENVIRONMENT',
      items([...ofEveryone, ...(isServer ? ofServers : []), ...(hasStores ? ofStores : [])]),
    ],
    ['FILES', items([...stateFiles, ...(isProject ? projectFiles : [])])],
  ]
}

function mkcertPage(): Page {
  const { synopsis, text, options, environment } = mkcertDescription
  return {
    name: 'rootling-mkcert',
    summary: 'issue certificates by the flags of mkcert',
    sections: [
      ['SYNOPSIS', synopsis.flatMap((line, i) => [...(i === 0 ? [] : ['.br']), prose(line)])],
      ['DESCRIPTION', paragraphs(text)],
      ['OPTIONS', options.flatMap(([term, about]) => item(prose(term), prose(about)))],
      [
        'EXIT STATUS',
        items([
          [bold('0'), 'All that was asked for is done.'],
          [bold('1'), 'It failed.'],
          [bold('2'), 'A flag was not understood.'],
        ]),
      ],
      ['ENVIRONMENT', environment.flatMap(([term, about]) => item(bold(term), prose(about)))],
      [
        'FILES',
        items([
          [
            italic('rootCA.pem'),
            'The public roots, in the directory that `rootling-mkcert -CAROOT` prints.',
          ],
        ]),
      ],
      [
        'EXAMPLES',
        example(['rootling-mkcert -install', 'rootling-mkcert shop.test localhost 127.0.0.1 ::1']),
      ],
      ['SEE ALSO', ['.BR rootling (1),', `.BR ${plain('rootling-ca')} (1)`]],
    ],
  }
}

function usageOf({ name, positionals }: CommandSpec): string {
  const words = positionals === undefined ? '' : ` ${positionalsOf(positionals)}`
  return `${bold(`rootling ${name}`)} [${italic('options')}]${words}`
}

/** Words in small letters are typed as they are; others stand for something. */
const positionalsOf = (text: string): string =>
  text
    .split(/([\w:-]+)/)
    .map((part, i) => (i % 2 === 0 ? plain(part) : /^[a-z]/.test(part) ? bold(part) : italic(part)))
    .join('')

const optionTerms = (options: readonly [string, OptionSpec][]): Term[] =>
  options.filter(([, { unlisted }]) => unlisted !== true).map(optionTerm)

function optionTerm([name, option]: [string, OptionSpec]): Term {
  const { type, alias, choices = [], placeholder = type === 'number' ? 'N' : 'X' } = option
  const names = [...(alias === undefined ? [] : [bold(`-${alias}`)]), bold(`--${name}`)]
  const value = type === 'boolean' ? '' : ` ${italic(choices.length > 0 ? 'KIND' : placeholder)}`
  const sentences = [
    `${option.describe}.`,
    ...(choices.length > 0 ? [`One of ${choices.join(', ')}.`] : []),
    ...(option.array === true ? ['It may be given several times.'] : []),
    ...(option.needs === undefined ? [] : [`Only with ${dashed(option.needs, 'or')}.`]),
    ...(option.excludes === undefined ? [] : [`Not with ${dashed(option.excludes, 'or')}.`]),
  ]
  return [`${names.join(', ')}${value}`, sentences.join(' ')]
}

const dashed = (names: readonly string[], word: string): string =>
  names.map((name) => `--${name}`).join(` ${word} `)

const ofEveryCommand = (): Term[] => [
  ...optionTerms(Object.entries<OptionSpec>(globalOptions)),
  [`${bold('-h')}, ${bold('--help')}`, 'Print the help.'],
]

const lowerFirst = (text: string): string => text.replace(/^[A-Z](?=[a-z])/, (a) => a.toLowerCase())

const exits: readonly Term[] = [
  [bold('0'), 'All that was asked for is done.'],
  [bold('1'), 'It failed, or `rootling doctor` found something.'],
  [bold('2'), 'The command line was wrong, or named something that nothing here has.'],
  [bold('3'), 'Some stores, or steps of `rootling up`, failed.'],
  [bold('4'), 'Not trusted, or `rootling up --check` found something to change.'],
  [bold('5'), 'A person cancelled it.'],
  [bold('6'), 'A rootling.json needs approval, and nobody can be asked.'],
]

const ofEveryone: readonly Term[] = [
  [bold('ROOTLING_HOME'), 'The directory of the authority, in place of the default one.'],
  [bold('NO_COLOR'), 'Where it is set and not empty, nothing is coloured.'],
  [bold('ROOTLING_DEBUG'), 'With the value 1, an error is printed with its causes.'],
]

const ofServers: readonly Term[] = [
  [bold('ROOTLING_DATABASE'), 'The database of a team’s server, in place of --database.'],
]

const ofStores: readonly Term[] = [
  [bold('JAVA_HOME'), 'A Java whose keystore is used beside those that are found.'],
]

const stateFiles: readonly Term[] = [
  [
    italic('~/.local/share/rootling'),
    'The authority’s keys, certificates and record, on Linux; below XDG_DATA_HOME where that is set. On macOS `~/Library/Application Support/rootling`, on Windows `%LOCALAPPDATA%\\rootling\\Data`.',
  ],
]

const projectFiles: readonly Term[] = [
  [italic('rootling.json'), 'What a project needs of a machine, for `rootling up`.'],
]
