import { findingInJson, type Finding, type Severity } from '../../doctor/codes.ts'
import { parseTarget } from '../../client/target.ts'
import { examine, type Examination } from '../../doctor/doctor.ts'
import { fixFindings, type Fixed } from '../../doctor/fix.ts'
import { exitCodes, type ArgumentsOf, type ExitCode } from '../command.ts'
import type { Context } from '../context.ts'
import { blankBetween, bold, dim, green, hanging, red, table, yellow, type Line } from '../lines.ts'
import type { Output } from '../output.ts'
import { reportHooks, warnOfFiles } from '../renewals.ts'
import type { doctorSpec } from '../specs/stores.ts'
import { storeOptionsOf } from '../store-arguments.ts'
import { trustWorld } from '../trust-world.ts'

/**
 * `rootling doctor`: looks for everything that keeps the CA from being trusted. Exits 1 when
 * something is wrong. Changes nothing without --fix.
 */
export async function doctor(
  args: ArgumentsOf<typeof doctorSpec>,
  context: Context,
): Promise<ExitCode> {
  const { output } = context
  const world = trustWorld(args, context)
  const { kinds, javaPasswordFile } = storeOptionsOf(args)
  const targets = args.positionals.map(parseTarget)
  const { runtimes = false } = args
  const options = { kinds, javaPasswordFile, cwd: directoryOf(context), runtimes, targets }
  let examination = await examine(world, options)
  let fixed: readonly Fixed[] = []
  const safe = examination.findings.filter(({ fix }) => fix !== undefined)
  if (args.fix === true && safe.length > 0 && (await agrees(args, context, safe))) {
    fixed = await fixFindings(world, storeOptionsOf(args), safe)
    reportFixes(fixed, output)
    examination = await examine(world, options)
  }
  const { findings, checked, servers } = examination
  output.result(examinationLines(examination, output), {
    findings: findings.map((each) => findingInJson(each, (text) => output.hint(text))),
    checked,
    servers,
    ...(args.fix === true
      ? {
          fixed: fixed.map(({ action, subjects, done, reason }) => ({
            action,
            subjects,
            done,
            reason,
          })),
        }
      : {}),
  })
  return findings.some(({ severity }) => severity !== 'note') ? exitCodes.failed : exitCodes.ok
}

/** Returns the directory of the command; `null`: it was deleted. */
function directoryOf(context: Context): string | null {
  try {
    return context.cwd
  } catch {
    return null
  }
}

async function agrees(
  { yes }: ArgumentsOf<typeof doctorSpec>,
  { interactive, output }: Context,
  safe: readonly Finding[],
): Promise<boolean> {
  if (yes === true) return true
  if (!interactive) {
    output.warn('Nothing was mended, since nobody could be asked: rootling doctor --fix --yes')
    return false
  }
  const { confirm } = await import('../ask.ts')
  const commands = [...new Set(safe.map(({ remedy }) => `  ${output.hint(remedy)}`))]
  return confirm(['This will do:', ...commands, 'Go on?'])
}

const names: Record<Fixed['action'], string> = {
  chmod: 'Closed to others',
  install: 'Installed into the stores',
  renew: 'Renewed',
}

function reportFixes(fixed: readonly Fixed[], output: Output): void {
  for (const { action, subjects, done, reason, renewals = [], hooks = [] } of fixed) {
    warnOfFiles(renewals, output)
    reportHooks(hooks, output)
    if (done) output.note(`${names[action]}: ${subjects.join(', ')}`)
    else output.warn(`Not mended: ${subjects.join(', ')}. ${reason ?? ''}`.trim())
  }
}

const marks: Record<Severity, Line> = { error: red('✗'), warning: yellow('!'), note: dim('i') }

/**
 * Returns the findings, what clients make of each server, and a summary. On a terminal the sentences
 * are wrapped; elsewhere each is one line, since scripts look for whole sentences.
 */
export function examinationLines(
  { findings, checked, servers }: Examination,
  output: Output,
): Line[] {
  const sentence = (parts: readonly Line[], first: number): Line[] => {
    const line = parts.flat()
    return output.isTerminal
      ? hanging(line, first + 2, output.width, first)
      : [[' '.repeat(first), ...line]]
  }
  const blocks = [
    findings.flatMap(({ severity, sentence: text, remedy }) => [
      ...sentence([marks[severity], ` ${text}`], 0),
      ...sentence([dim('→'), ` ${output.hint(remedy)}`], 2),
    ]),
    ...servers.map((server) => clientLines(server, output.width)),
    summaryOf(findings, checked, output).flatMap((line) => sentence([line], 0)),
  ]
  return blankBetween(blocks.filter((block) => block.length > 0))
}

/** Returns a table of what each kind of client makes of a server's certificate. */
function clientLines({ url, clients }: Examination['servers'][number], width: number): Line[] {
  if (clients.length === 0) return []
  const rows = clients.map(({ client, accepts, why }): Line[] => [
    accepts === true ? green('✓') : accepts === null ? dim('–') : red('✗'),
    client,
    accepts === true ? 'accepts' : accepts === null ? 'not on this machine' : why.join(' '),
  ])
  return [bold(url), ...table(rows, width)]
}

function summaryOf(
  findings: readonly Finding[],
  checked: Examination['checked'],
  output: Output,
): Line[] {
  const count = (wanted: Severity): number =>
    findings.filter(({ severity }) => severity === wanted).length
  const some = (number: number, one: string): string =>
    number === 0 ? '' : `${number} ${one}${number === 1 ? '' : 's'}`
  const seen = checked.map(({ check, subjects }) => `${check} (${subjects.length})`).join(', ')
  const all = [
    some(count('error'), 'error'),
    some(count('warning'), 'warning'),
    some(count('note'), 'note'),
  ]
  const told = all.filter(Boolean).join(', ')
  const fine = count('error') + count('warning') === 0
  const safe = findings.filter(({ fix }) => fix !== undefined).length
  const more =
    safe === 0 ? [] : [`To mend ${safe} of them: ${output.hint('rootling doctor --fix')}`]
  return fine
    ? [[green('✓'), ` Nothing is wrong${told === '' ? '' : ` (${told})`}. Looked at: ${seen}.`]]
    : [`${told}.`, ...more, `Looked at: ${seen}.`]
}
