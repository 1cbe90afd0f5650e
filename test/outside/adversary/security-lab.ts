import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { project } from '../../helpers/built.ts'
import { shapes, type Family, type Shape } from './shapes.ts'

// docs/security-lab.md: which verifier accepts which forgery. `npm run security-lab` writes it, and
// the part of SECURITY.md that sums it up; the tests hold each verifier to it.

/** Whether a forgery was accepted; `null`: the verifier is not asked about it. */
type Verdict = boolean | null

/** What one verifier said. */
export interface LabColumn {
  readonly name: string
  readonly version: string
  /** By the titles of shapes. */
  readonly verdicts: ReadonlyMap<string, Verdict>
}

const labPath = join(project, 'docs/security-lab.md')
export const securityPath = join(project, 'SECURITY.md')

/** Where `npm run security-lab` asks for the document to be written; else the tests hold to it. */
export const writesLab = process.env['ROOTLING_SECURITY_LAB'] !== undefined

export async function readLab(): Promise<LabColumn[]> {
  return parseLab(await readFile(labPath, 'utf8').catch(() => ''))
}

/** Replaces the columns of these verifiers, and what SECURITY.md says of them. */
export async function recordColumns(columns: readonly LabColumn[]): Promise<void> {
  const names = new Set(columns.map(({ name }) => name))
  const all = [...(await readLab()).filter(({ name }) => !names.has(name)), ...columns]
  await writeFile(labPath, labText(all))
  await writeFile(securityPath, withSummary(await readFile(securityPath, 'utf8'), all))
}

const words = new Map<Verdict, string>([
  [true, '**accepts**'],
  [false, 'refuses'],
  [null, '–'],
])
const families = [...new Set([...shapes.values()].map(({ family }) => family))]
const ofFamily = (family: Family): [title: string, shape: Shape][] =>
  [...shapes].filter(([, shape]) => shape.family === family)
const claimOf = (title: string): string => title.replace(/^[^:]*: /, '')
const row = (...cells: readonly string[]): string => `| ${cells.join(' | ')} |`
const rule = (cells: readonly unknown[]): string => `|${'---|'.repeat(cells.length)}`

const capital = (text: string): string => text.slice(0, 1).toUpperCase() + text.slice(1)

function labText(columns: readonly LabColumn[]): string {
  const header = ['', ...columns.map(({ name }) => name)]
  const tables = families.flatMap((family) => [
    `## ${capital(family)}`,
    '',
    row(...header),
    rule(header),
    ...ofFamily(family).map(([title]) =>
      row(claimOf(title), ...columns.map((c) => words.get(c.verdicts.get(title) ?? null) ?? '')),
    ),
    '',
  ])
  return `${[
    '# What a thief of the issuing key can sign',
    '',
    '<!-- Made by `npm run security-lab`; do not edit. -->',
    '',
    `A thief of the key of the default scope signs ${shapes.size - ofFamily('controls').length} certificates, each with another claim that the scope may not make, and each verifier is asked whether it accepts the claim. The controls are to be accepted; those “of a CA that may” are signed by a CA without constraints and purposes. “–”: the verifier has no question for the claim, or does not know the purpose. The claims are those of \`test/outside/adversary/shapes.ts\`, where each has its bytes. \`npm test\` holds the verifiers that it finds to this table.`,
    '',
    row('verifier', 'version'),
    rule([1, 2]),
    ...columns.map(({ name, version }) => row(name, version)),
    '',
    ...tables,
  ]
    .join('\n')
    .trimEnd()}\n`
}

/** Reads the columns out of the document. */
function parseLab(text: string): LabColumn[] {
  const cells = (line: string): string[] => line.slice(2, -2).split(' | ')
  const [head = '', ...sections] = text.split('\n## ')
  const columns = head
    .split('\n')
    .filter((line) => line.startsWith('| '))
    .slice(1)
    .map((line) => cells(line))
    .map(([name = '', version = '']) => ({ name, version, verdicts: new Map<string, Verdict>() }))
  const verdictOf = new Map([...words].map(([verdict, word]) => [word, verdict]))
  for (const section of sections) {
    const [title = '', ...lines] = section.split('\n')
    const family = families.find((each) => capital(each) === title)
    for (const line of lines.filter((each) => each.startsWith('| ')).slice(1)) {
      const [claim = '', ...said] = cells(line)
      for (const [i, word] of said.entries())
        columns[i]?.verdicts.set(`${family}: ${claim}`, verdictOf.get(word) ?? null)
    }
  }
  return columns
}

const [begin, end] = ['<!-- security-lab -->', '<!-- /security-lab -->']
/** The columns of the summary, with the families that each sums up. */
const groups: readonly (readonly [title: string, families: readonly Family[]])[] = [
  ['hosts and addresses in the SAN', ['DNS names', 'addresses']],
  ['common names', ['common names', 'other attributes']],
  ['mailboxes and URIs', ['mailboxes', 'URIs']],
  ['names without constraints', ['other names']],
  ['other uses', ['other uses']],
  ['CAs', ['CAs']],
]

/** Puts the summary of the columns between its marks in the text of SECURITY.md. */
export function withSummary(security: string, columns: readonly LabColumn[]): string {
  const [before = '', rest = ''] = security.split(begin)
  const after = rest.split(end)[1] ?? ''
  const header = ['accepted by', ...groups.map(([title]) => title)]
  const lines = columns.map(({ name, verdicts }) =>
    row(name, ...groups.map(([, own]) => summary(own, verdicts))),
  )
  return `${before}${begin}\n${[row(...header), rule(header), ...lines].join('\n')}\n${end}${after}`
}

/** What of some families is accepted: each claim where there are few, else how many of how many. */
function summary(own: readonly Family[], verdicts: LabColumn['verdicts']): string {
  const asked = own
    .flatMap(ofFamily)
    .filter(([title]) => (verdicts.get(title) ?? null) !== null)
    .map(([title]) => title)
  const accepted = asked.filter((title) => verdicts.get(title))
  if (asked.length === 0) return '–'
  if (accepted.length === 0) return 'none'
  return accepted.length > 7
    ? `${accepted.length} of ${asked.length}`
    : accepted.map(claimOf).join('; ')
}
