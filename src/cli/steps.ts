import { RootlingError } from '../errors.ts'
import type { Danger, Step, StepOutcome } from '../project/step.ts'
import { shellWord } from '../shell-word.ts'
import { exitCodes, type ArgumentsOf, type ExitCode } from './command.ts'
import { dim, green, red, tableWithLines, yellow, type Line } from './lines.ts'
import type { Output } from './output.ts'
import type { upSpec } from './specs/project.ts'

const words: Record<StepOutcome, string> = {
  unchanged: 'unchanged',
  'would-change': 'would change',
  changed: 'changed',
  failed: 'FAILED',
  kept: 'left',
}

/**
 * Returns a table with a row for each step of `up` or `down`. Why a step failed and what to type are
 * below its row.
 */
export function stepTable(steps: readonly Step[], output: Output): Line[] {
  const rows = steps.map((step): Line[] => {
    const { outcome, code, subject } = step
    return [markOf(outcome), code, subject, outcome === 'failed' ? '' : outcomeText(step)]
  })
  const below = steps.map((step): Line[] => {
    if (step.outcome !== 'failed') return []
    const { hint } = step
    const todo: Line[] = hint === undefined ? [] : [[dim('→'), ` ${output.hint(hint)}`]]
    return [outcomeText(step), ...todo]
  })
  return tableWithLines(rows, below, output.width)
}

function outcomeText({ outcome, privileged, detail = '' }: Step): string {
  const root = privileged && outcome === 'would-change' ? ' (needs root)' : ''
  return `${words[outcome]}${root}${detail === '' ? '' : `: ${detail}`}`
}

function markOf(outcome: StepOutcome): Line {
  if (outcome === 'failed') return red('✗')
  if (outcome === 'would-change') return yellow('~')
  return outcome === 'kept' ? dim('–') : green('✓')
}

/** Returns the exit code of `up` or `down`; `check`: whether a change that is needed is drift. */
export function projectExitCode(steps: readonly Step[], check = false): ExitCode {
  const has = (wanted: StepOutcome): boolean => steps.some(({ outcome }) => outcome === wanted)
  if (has('failed')) return exitCodes.someStoresFailed
  return check && has('would-change') ? exitCodes.drift : exitCodes.ok
}

/**
 * Returns the error for what nobody could approve, with the command that approves it: the one that
 * was given, and in `--allow` also what was allowed already.
 */
export function approvalNeeded(
  dangers: readonly Danger[],
  args: ArgumentsOf<typeof upSpec>,
): RootlingError {
  const given = args.allow?.split(',').map((word) => word.trim()) ?? []
  const words = dangers.map(({ kind, fingerprint, namedOnly }) =>
    namedOnly === true ? `trust:${fingerprint}` : kind,
  )
  return new RootlingError(
    'approval-needed',
    'rootling.json asks for what a person must approve, so nothing was changed.',
    {
      hint: `If you trust who wrote it: rootling up --allow ${[...new Set([...given, ...words])].join(',')}${optionsOf(args)}`,
    },
  )
}

/** Returns the options of `up` as they were typed, without `--allow` and those that change nothing. */
function optionsOf(args: ArgumentsOf<typeof upSpec>): string {
  const texts = (['stores', 'store-scope', 'java-storepass-file'] as const).flatMap((name) => {
    const value = args[name]
    return value === undefined ? [] : [` --${name} ${shellWord(value)}`]
  })
  const flags = (['yes', 'no-sudo'] as const).filter((name) => args[name] === true)
  return [...flags.map((name) => ` --${name}`), ...texts].join('')
}

/** The lines of a question about what a file asks for, each danger in full. */
export const dangerLines = (dangers: readonly Danger[]): string[] =>
  dangers.map(({ kind, text }) => `  ${kind}: ${text}`)
