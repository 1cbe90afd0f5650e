import { groupOf, groups } from '../../src/cli/command-groups.ts'
import { globalOptions, type CommandSpec, type OptionSpec } from '../../src/cli/command.ts'
import { commands } from '../../src/cli/table.ts'
import { descriptions, groupDescriptions } from './descriptions.ts'

/** Returns the reference of all commands as Markdown, from what the manual pages are made of. */
export function commandsDocument(): string {
  const shown = commands.filter(({ hidden }) => hidden !== true).map(({ spec }) => spec)
  const single = shown.filter((spec) => groupOf(spec) === null)
  return [
    '# Commands',
    ...(descriptions[''] ?? []).slice(0, 2).map(prose),
    'Every command takes these options:',
    optionTable(globalOptions),
    ...single.map((spec) => section(spec, '##')),
    ...Object.keys(groups).flatMap((group) => [
      `## rootling ${group}`,
      ...(groupDescriptions[group] ?? []).map(prose),
      ...shown.filter((spec) => groupOf(spec) === group).map((spec) => section(spec, '###')),
    ]),
  ].join('\n\n')
}

function section(spec: CommandSpec, level: string): string {
  const usage = ['rootling', spec.name, '[options]', spec.positionals].filter(Boolean).join(' ')
  const hasOptions = Object.keys(spec.options).length > 0
  return [
    `${level} rootling ${spec.name}`,
    code('text', [usage]),
    ...(descriptions[spec.name] ?? [`${spec.summary}.`]).map(prose),
    ...(hasOptions ? [optionTable(spec.options)] : []),
    code('sh', spec.examples),
  ].join('\n\n')
}

const code = (language: string, lines: readonly string[]): string =>
  ['```' + language, ...lines, '```'].join('\n')

function optionTable(options: CommandSpec['options']): string {
  const rows = Object.entries<OptionSpec>(options)
    .filter(([, { unlisted }]) => unlisted !== true)
    .map(([name, { type, alias, choices = [], placeholder = 'N', describe }]) => {
      const value = type === 'boolean' ? '' : ` ${choices.length > 0 ? 'KIND' : placeholder}`
      const short = alias === undefined ? '' : `\`-${alias}\`, `
      const kinds = choices.length > 0 ? ` (${choices.join(', ')})` : ''
      return `| ${short}\`--${name}${value}\` | ${prose(`${describe}${kinds}`).replaceAll('|', '\\|')} |`
    })
  return ['| option | |', '|---|---|', ...rows].join('\n')
}

/** Options become code, and nothing is read as HTML or emphasis. */
const prose = (text: string): string =>
  text
    .split(/(`[^`]+`|(?<![\w-])--[a-z][a-z0-9-]*)/)
    .map((part, i) =>
      i % 2 === 1 ? `\`${part.replaceAll('`', '')}\`` : part.replaceAll(/[<>*_[\]\\]/g, '\\$&'),
    )
    .join('')
