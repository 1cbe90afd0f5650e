import type { RootlingError } from '../errors.ts'
import { printable, printableJson } from '../printable.ts'
import { completeCommands, type Selected } from '../complete-commands.ts'
import { dim, hanging, linesOf, red, render, yellow, type Line } from './lines.ts'
import { shownPath, withShownPaths, type Near } from './shown-path.ts'
import { standardError, standardOutput, type StandardStream } from './standard-streams.ts'

type JsonResult = Readonly<Record<string, unknown>>

/**
 * Prints results on stdout and everything else on stderr. Each string is printed as one line at
 * most, without control characters, wherever it comes from.
 */
export interface Output {
  readonly json: boolean
  /** Whether the result goes to a terminal. */
  readonly isTerminal: boolean
  /** The letters in a line of the result; 80 where it goes to no terminal. */
  readonly width: number
  /**
   * Prints the result: the lines, or with --json `value`, which may be a function that returns it.
   * Called once.
   */
  result(lines: readonly Line[], value: JsonResult | (() => JsonResult)): void
  /**
   * Prints a result that may be very long, page by page, as `result` prints one: with --json the
   * values of all pages are the member `name`. Called once.
   */
  pages(name: string, pages: Iterable<Page>): void
  /**
   * Returns a sentence of the result as lines: on a terminal wrapped between words, and elsewhere
   * one line, since scripts look for whole sentences. The spaces that it begins with stay.
   */
  prose(sentence: string): Line[]
  /**
   * Prints contents that come from outside, such as the body of an answer: exactly as they are into
   * a pipe or a file, and as harmless lines on a terminal. Not called with --json.
   */
  contents(bytes: Buffer): void
  /** Prints another line of a result that goes on, such as a log that grows. */
  more(line: string): void
  /** Prints progress or a remark. Prints nothing with --quiet or --json. */
  note(text: string): void
  /**
   * Shows progress in one line of the terminal, which the next text replaces. Returns `false` where
   * standard error is no terminal. Shows nothing with --quiet or --json.
   */
  live(text: string): boolean
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
  /** Returns an absolute path as people read it; with --quiet and --json as it is, since scripts read those. */
  path(path: string): string
  /** Returns a sentence with the paths in it as `path` returns them. */
  paths(sentence: string): string
}

/** A part of a long result. One of the two functions is called, once. */
export interface Page {
  lines(): readonly Line[]
  /** With --json: each value as JSON without newlines; at least one. */
  json(): readonly string[]
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
  let isLive = false
  /** Returns a printer that first clears the line that shows progress. */
  const clearing =
    (printer: (lines: readonly Line[]) => void) =>
    (lines: readonly Line[]): void => {
      if (isLive) standardError.write(clearLine)
      isLive = false
      printer(lines)
    }
  const print = clearing(linePrinter(standardOutput, env))
  const printError = clearing(linePrinter(standardError, env))
  /**
   * Prints a line on stderr. On a terminal it is wrapped between words; elsewhere it stays one line,
   * since what reads a log looks for whole sentences.
   */
  const say = (line: Line, indent = 2, first = 0): void =>
    printError(
      standardError.isTTY
        ? hanging(line, indent, standardError.columns, first)
        : [[' '.repeat(first), ...[line].flat()]],
    )
  /** Returns how many spaces a text begins with, as an item of a list does. */
  const indentOf = (text: string): number => Math.max(0, text.search(/\S/))
  const hint = (text: string): string => completeCommands(text, selected)
  const complete = (key: string, value: unknown): unknown =>
    (key === 'hint' || key === 'remedy') && typeof value === 'string' ? hint(value) : value
  const printValue = (value: object): void =>
    standardOutput.write(`${printableJson(JSON.stringify(value, complete, 2))}\n`)
  function printPages(name: string, pages: Iterable<Page>): void {
    let text = `{\n  "ok": true,\n  ${JSON.stringify(name)}: [`
    let isEmpty = true
    for (const page of pages) {
      for (const json of page.json()) {
        // `complete` is called for each member, which takes longer than all else.
        const hasHints = json.includes('"hint":') || json.includes('"remedy":')
        const value = hasHints ? JSON.stringify(JSON.parse(json), complete) : json
        text += `${isEmpty ? '' : ','}\n    ${value}`
        isEmpty = false
      }
      // An error at the beginning of a long list, and anywhere in a short one, is still alone.
      if (text.length < 1024 * 1024) continue
      standardOutput.write(printableJson(text))
      text = ''
    }
    const rest = JSON.stringify({ warnings }, null, 2)
    standardOutput.write(printableJson(`${text}${isEmpty ? '' : '\n  '}],${rest.slice(1)}\n`))
  }
  return {
    json,
    get isTerminal() {
      return standardOutput.isTTY
    },
    get width() {
      return standardOutput.columns
    },
    hint,
    result(lines, value) {
      if (json)
        printValue({ ok: true, ...(typeof value === 'function' ? value() : value), warnings })
      else if (lines.length > 0) print(lines)
    },
    pages(name, pages) {
      if (json) return printPages(name, pages)
      for (const page of pages) print(page.lines())
    },
    prose(sentence) {
      if (!standardOutput.isTTY) return [sentence]
      const start = indentOf(sentence)
      return hanging(sentence.slice(start), start + 2, standardOutput.columns, start)
    },
    contents(bytes) {
      if (!standardOutput.isTTY) standardOutput.write(bytes)
      else if (bytes.length > 0) print(linesOf(bytes.toString('utf8').trimEnd()))
    },
    more: (line) => print([line]),
    live(text) {
      if (quiet || json) return true
      if (!standardError.isTTY || env['TERM'] === 'dumb') return false
      standardError.write(`${clearLine}${printable(text)}`)
      isLive = true
      return true
    },
    note(text) {
      if (quiet || json) return
      const start = indentOf(text)
      say(hint(text.slice(start)), start + 2, start)
    },
    warn(text) {
      warnings.push(hint(text))
      if (!json) say([yellow('Warning:'), ` ${hint(text)}`])
    },
    log(text) {
      if (!quiet) say(text)
    },
    fail({ code, message, hint: todo = null, faults }) {
      const told = faults === undefined ? {} : { faults }
      if (json) printValue({ ok: false, error: { code, message, hint: todo, ...told }, warnings })
      say([red('Error:'), ` ${message}`])
      for (const { file, line, column, key, message: fault } of faults ?? [])
        say(`${file}:${line}:${column} ${key === '' ? fault : `${key}: ${fault}`}`, 4, 2)
      if (todo !== null) say([dim('→'), ` ${hint(todo)}`], 4, 2)
    },
    path: (path) => (quiet || json ? path : shownPath(path, near(env))),
    paths: (sentence) => (quiet || json ? sentence : withShownPaths(sentence, near(env))),
  }
}

function near(env: OutputOptions['env']): Near {
  try {
    return { home: env['HOME'], cwd: process.cwd() }
  } catch {
    return { home: env['HOME'], cwd: undefined }
  }
}

/** Moves to the start of the line, and erases the line (ECMA-48, Erase in Line). */
const clearLine = '\r\u001B[K'

/** Returns a function that prints lines, of which there may be very many. */
export function linePrinter(
  stream: StandardStream,
  env: OutputOptions['env'],
): (lines: readonly Line[]) => void {
  let color: boolean | null = null
  const useColor = (): boolean => (color ??= canColor(stream, env))
  return (lines) => stream.write(render(lines, useColor))
}

/** Whether to print colours: only on a terminal, and never with NO_COLOR (https://no-color.org). */
function canColor(stream: StandardStream, env: OutputOptions['env']): boolean {
  return stream.isTTY && (env['NO_COLOR'] ?? '') === '' && env['TERM'] !== 'dumb'
}
