import type { RootlingError } from '../errors.ts'
import { completeCommands, type Selected } from './hint.ts'
import { standardError, standardOutput, type StandardStream } from './standard-streams.ts'

type JsonResult = Readonly<Record<string, unknown>>

/** Prints results on stdout and everything else on stderr. */
export interface Output {
  readonly json: boolean
  /**
   * Prints the result: `text`, or with --json `value`, which may be a function that returns it.
   * Called once.
   */
  result(text: string, value: JsonResult | (() => JsonResult)): void
  /** Prints progress or a remark. Prints nothing with --quiet or --json. */
  note(text: string): void
  /**
   * Prints a warning, also with --quiet. With --json the warning goes into the `warnings` of the
   * result.
   */
  warn(text: string): void
  /** Prints a line of a running server's log on stderr. Prints nothing with --quiet. */
  log(text: string): void
  /** Prints the error that ends the command. */
  fail(error: RootlingError): void
  /**
   * Completes the `rootling` commands in a hint, for the text of a result. In notes, warnings,
   * errors and the `hint` and `remedy` members of --json they are completed without it.
   */
  hint(text: string): string
  readonly style: Style
}

interface Style {
  bold(text: string): string
  green(text: string): string
  yellow(text: string): string
  red(text: string): string
  dim(text: string): string
}

export interface OutputOptions {
  readonly json: boolean
  readonly quiet: boolean
  readonly env: Readonly<Record<string, string | undefined>>
  /** What is added to the commands that messages suggest. */
  readonly selected: Selected
}

export function createOutput(options: OutputOptions): Output {
  const { json, quiet, env, selected } = options
  const warnings: string[] = []
  const style = createStyle(standardOutput, env)
  const errorStyle = createStyle(standardError, env)
  const hint = (text: string): string => completeCommands(text, selected)
  const complete = (key: string, value: unknown): unknown =>
    (key === 'hint' || key === 'remedy') && typeof value === 'string' ? hint(value) : value
  const print = (value: object): void =>
    standardOutput.write(`${JSON.stringify(value, complete, 2)}\n`)
  const say = (text: string): void => standardError.write(`${printable(text)}\n`)
  return {
    json,
    style,
    hint,
    result(text, value) {
      if (json) print({ ok: true, ...(typeof value === 'function' ? value() : value), warnings })
      else if (text !== '') standardOutput.write(`${printable(text)}\n`)
    },
    note(text) {
      if (!quiet && !json) say(hint(text))
    },
    warn(text) {
      warnings.push(hint(text))
      if (!json) say(`${errorStyle.yellow('Warning:')} ${hint(text)}`)
    },
    log(text) {
      if (!quiet) say(text)
    },
    fail({ code, message, hint: todo = null }) {
      if (json) print({ ok: false, error: { code, message, hint: todo }, warnings })
      say(`${errorStyle.red('Error:')} ${message}`)
      if (todo !== null) say(`  ${errorStyle.dim('→')} ${hint(todo)}`)
    },
  }
}

/**
 * Replaces control characters, which could move the cursor, in text from files and certificates.
 * The colour codes of this program stay.
 */
export function printable(text: string): string {
  return text.replace(controls, '\uFFFD')
}

// oxlint-disable-next-line no-control-regex -- the point is to keep control characters out
const controls = /\u001B(?!\[\d+m)|[\u0000-\u0008\u000B-\u001A\u001C-\u001F\u007F-\u009F]/g

/** Whether to print colours: only on a terminal, and never with NO_COLOR (https://no-color.org). */
function useColor(stream: StandardStream, env: OutputOptions['env']): boolean {
  return stream.isTTY && (env['NO_COLOR'] ?? '') === '' && env['TERM'] !== 'dumb'
}

function createStyle(stream: StandardStream, env: OutputOptions['env']): Style {
  let color: boolean | null = null
  const wrap = (open: number, close: number) => (text: string) => {
    color ??= useColor(stream, env)
    return color ? `\u001B[${open}m${text}\u001B[${close}m` : text
  }
  return {
    bold: wrap(1, 22),
    dim: wrap(2, 22),
    red: wrap(31, 39),
    green: wrap(32, 39),
    yellow: wrap(33, 39),
  }
}

/**
 * Returns the rows as text, in columns that are padded to their widest cell and two spaces apart.
 */
export function table(rows: readonly (readonly string[])[]): string {
  const widths: number[] = []
  // Only built-in methods loop here: V8 would take longer to compile two loops than to run them.
  rows.forEach((row) =>
    row.forEach((cell, x) => (widths[x] = Math.max(widths[x] ?? 0, visibleLength(cell)))),
  )
  // Colour codes take no column.
  const pad = (cell: string, x: number): string =>
    cell.padEnd((widths[x] ?? 0) + cell.length - visibleLength(cell))
  return rows.map((row) => row.map(pad).join('  ').trimEnd()).join('\n')
}

function visibleLength(text: string): number {
  // oxlint-disable-next-line no-control-regex -- colour codes take no column
  return text.includes('\u001B') ? text.replace(/\u001B\[\d+m/g, '').length : text.length
}
