import { printable } from '../printable.ts'

/*
 * What is printed is a list of lines, and never a text with newlines and colours in it: a string
 * can come from a file, a certificate or a server, so `render` takes it for part of one line and
 * lets no control character of it through.
 */

/** One line, in one part or several. */
export type Line = Part | readonly Part[]
/** A text of any origin. */
type Part = string | Styled

/** A text of any origin that terminals show in a style. */
interface Styled {
  readonly style: StyleName | null
  readonly text: string
  /** Whether its spaces are no places for a new line, as those of a path. */
  readonly whole?: true
}

/** The codes that begin and end each style (ECMA-48, Select Graphic Rendition). */
const codes = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
} as const

type StyleName = keyof typeof codes

const styled =
  (style: StyleName) =>
  (text: string): Styled => ({ style, text })

export const bold = styled('bold')
export const dim = styled('dim')
export const red = styled('red')
export const green = styled('green')
export const yellow = styled('yellow')

/** Marks a text with spaces that is never wrapped, such as a path. */
export const whole = (text: string): Part => ({ style: null, text, whole: true })

/** Returns lines as text for a terminal or a file; `color` says whether styles become colours. */
export function render(lines: readonly Line[], color: () => boolean): string {
  const text = (part: Part): string => {
    const plain = printable(textOf(part))
    if (typeof part === 'string' || part.style === null || !color()) return plain
    const [open, close] = codes[part.style]
    return `\u001B[${open}m${plain}\u001B[${close}m`
  }
  return lines.map((line) => `${partsOf(line).map(text).join('')}\n`).join('')
}

const partsOf = (line: Line): readonly Part[] =>
  typeof line === 'string' || 'style' in line ? [line] : line

const textOf = (part: Part): string => (typeof part === 'string' ? part : part.text)

const widthOf = (line: Line): number =>
  partsOf(line).reduce((width, part) => width + columnsOf(printable(textOf(part))), 0)

/** Returns how many columns of a terminal a text takes: two for each letter that is wide in East Asia. */
const columnsOf = (text: string): number =>
  /^[ -~]*$/.test(text)
    ? text.length
    : Array.from(text.replace(/\p{M}/gu, '')).length + wideIn(text)

const wideIn = (text: string): number =>
  text.match(/[\u1100-\u115F\u2E80-\uA4CF\uAC00-\uD7A3\uF900-\uFAFF\uFE30-\uFE6F\uFF00-\uFF60]/g)
    ?.length ?? 0

/**
 * Returns each row of cells as lines of at most `width` columns of the terminal, in cells that are as
 * wide as the widest below them, two spaces apart. Where that is too wide, cells take several lines:
 * the last of a row below the others, if it does not fit beside them. No word is cut, since a path
 * that is copied from two lines is none: one that is too long for its cell has a line of its own.
 */
export function table(rows: readonly (readonly Line[])[], width = 80): Line[] {
  return linesOfRows(rows, width).flat()
}

/** Returns a table with a line below each row that has a hint. */
export function tableWithHints(
  rows: readonly (readonly Line[])[],
  hints: readonly (Line | null)[],
  width: number,
): Line[] {
  const below = hints.map((hint) => (hint === null ? [] : [hint]))
  return tableWithLines(rows, below, width)
}

/** Returns a table with lines of one indent below each row. */
export function tableWithLines(
  rows: readonly (readonly Line[])[],
  below: readonly (readonly Line[])[],
  width: number,
): Line[] {
  return linesOfRows(rows, width).flatMap((lines, i) => [
    ...lines,
    ...(below[i] ?? []).flatMap((line) => hanging(line, mostIndent, width)),
  ])
}

/**
 * Returns the lines of a table's titles and those of its rows. Where every row has its last cell
 * below the others, the titles have theirs there too.
 */
export function tableWithTitles(
  titles: readonly Line[],
  rows: readonly (readonly Line[])[],
  width: number,
): { readonly titles: Line[]; readonly rows: Line[] } {
  const [first = [], ...rest] = linesOfRows([titles, ...rows], width, true)
  return { titles: first, rows: rest.flat() }
}

function linesOfRows(rows: readonly (readonly Line[])[], width: number, titled = false): Line[][] {
  const widths: number[] = []
  // Only built-in methods loop here: V8 would take longer to compile two loops than to run them.
  rows.forEach((row) =>
    row.forEach((cell, x) => (widths[x] = Math.max(widths[x] ?? 0, widthOf(cell)))),
  )
  if (startAfter(widths) - gap > width) return narrowTable(rows, width, titled)
  return rows.map((row) => [besideEachOther(row, widths)])
}

/** The columns between two cells. */
const gap = 2

/** Returns in which column the cell begins that follows cells of these widths. */
const startAfter = (widths: readonly number[]): number =>
  widths.reduce((sum, each) => sum + each + gap, 0)

/** Returns a cell with the spaces before the next one. */
const padded = (cell: Line, width: number): Part[] => [
  ...partsOf(cell),
  ' '.repeat(width + gap - widthOf(cell)),
]

/** Returns cells of one line each as a line, without spaces after the last that is not empty. */
function besideEachOther(cells: readonly Line[], widths: readonly number[]): Line {
  const last = cells.findLastIndex((cell) => widthOf(cell) > 0)
  return cells
    .slice(0, last + 1)
    .flatMap((cell, x) => (x === last ? partsOf(cell) : padded(cell, widths[x] ?? 0)))
}

/** The least columns beside the other cells that a text is given, and not lines of its own. */
const leastBeside = 24

/** What a text that has lines of its own is indented by at most. */
const mostIndent = 4

function narrowTable(rows: readonly (readonly Line[])[], width: number, titled: boolean): Line[][] {
  const widths = narrowWidths(rows, width)
  const room = width - startAfter(widths)
  const isBeside = rows.map((row) => {
    const last = row[widths.length] ?? ''
    return widthOf(last) <= room || fitsBeside(last, room)
  })
  if (titled) isBeside[0] = isBeside.indexOf(true, 1) > 0
  return rows.map((row, y) => narrowRow(row, widths, width, isBeside[y] ?? true))
}

/** Returns the widths of all columns but the last, made to fit into lines of `width` columns. */
function narrowWidths(rows: readonly (readonly Line[])[], width: number): number[] {
  const columns = (rows[0] ?? []).slice(0, -1).map((_, x) => rows.map((row) => row[x] ?? ''))
  // A cell with a word of half a line has lines of its own, so that it makes the others no narrower.
  const usual = columns.map((cells) => cells.filter((cell) => longestWord(cell) <= width / 2))
  return shrunk(
    usual.map((cells) => most(cells, widthOf)),
    usual.map((cells) => most(cells, longestWord)),
    width,
  )
}

/**
 * Returns a row as lines: first those of each cell with a word that is too long for its column, then
 * the other cells beside each other, and last those of the last cell, unless it is beside them.
 */
function narrowRow(
  row: readonly Line[],
  widths: readonly number[],
  width: number,
  isBeside: boolean,
): Line[] {
  const cells = row.slice(0, widths.length)
  const last = row[widths.length] ?? ''
  const isLong = cells.map((cell, x) => longestWord(cell) > (widths[x] ?? 0))
  const led = isLong.indexOf(true)
  const leaders = led > 0 && mayLead(cells, led, widths, width) ? led : 0
  const above = cells.flatMap((cell, x): Line[] => {
    if (!isLong[x]) return []
    const start = startAfter(widths.slice(0, x))
    return x === leaders && x > 0
      ? hangingAfter(cells.slice(0, leaders), cell, widths, width)
      : hanging(cell, Math.min(start, mostIndent), width)
  })
  const columns = cells.map((cell, x) =>
    wrapped(isLong[x] || x < leaders ? '' : cell, widths[x] ?? 0),
  )
  if (isBeside) columns.push(wrapped(last, width - startAfter(widths)))
  const height = Math.max(...columns.map(({ length }) => length))
  const beside = Array.from({ length: height }, (_, y) =>
    besideEachOther(
      columns.map((lines) => lines[y] ?? ''),
      widths,
    ),
  ).filter((line) => widthOf(line) > 0)
  const below = isBeside || widthOf(last) === 0 ? [] : hanging(last, mostIndent, width)
  return [...above, ...beside, ...below]
}

/**
 * Whether the cells before the first long one are on its line, so that a mark is beside its name:
 * each must fit into its column, and the long one beside them.
 */
function mayLead(
  cells: readonly Line[],
  led: number,
  widths: readonly number[],
  width: number,
): boolean {
  const start = startAfter(widths.slice(0, led))
  return (
    cells.slice(0, led).every((cell, x) => widthOf(cell) <= (widths[x] ?? 0)) &&
    (start <= mostIndent || start + longestWord(cells[led] ?? '') <= width)
  )
}

/** Returns the lines of a cell, the first of which begins with the cells before it. */
function hangingAfter(
  before: readonly Line[],
  cell: Line,
  widths: readonly number[],
  width: number,
): Line[] {
  const start = startAfter(widths.slice(0, before.length))
  const [top = '', ...more] = hanging(cell, Math.min(start, mostIndent), width, start)
  const leading = before.flatMap((each, x) => padded(each, widths[x] ?? 0))
  // `hanging` begins the line with the spaces in whose place the other cells are.
  return [[...leading, ...partsOf(top).slice(1)], ...more]
}

/** Returns the largest measure of some cells, of which there may be more than arguments of a call. */
const most = (cells: readonly Line[], measure: (cell: Line) => number): number =>
  cells.reduce((largest, cell) => Math.max(largest, measure(cell)), 0)

/** Whether a text can be wrapped beside the other cells without a cut in a word. */
const fitsBeside = (cell: Line, room: number): boolean =>
  room >= leastBeside && longestWord(cell) <= room

/**
 * Returns the widths of cells, the widest made narrower until all fit with two spaces each: if
 * possible, no narrower than their longest words.
 */
function shrunk(natural: readonly number[], longest: readonly number[], width: number): number[] {
  const widths = [...natural]
  const least = 8
  const shrink = (floors: readonly number[]): void => {
    for (;;) {
      const excess = startAfter(widths) - gap - width
      const rooms = widths.map((each, x) => (each > (floors[x] ?? 0) ? each : 0))
      const widest = rooms.indexOf(Math.max(...rooms))
      if (excess <= 0 || rooms.every((each) => each === 0)) return
      widths[widest] = (widths[widest] ?? 0) - 1
    }
  }
  shrink(longest.map((each) => Math.max(each, least)))
  shrink(longest.map(() => least))
  return widths
}

/**
 * Returns a line as lines of at most `width` columns. The first begins with `first` spaces, and all
 * others with `indent`.
 */
export function hanging(line: Line, indent: number, width: number, first = indent): Line[] {
  return wrapped(line, width - indent, width - first).map((each, y) => [
    ' '.repeat(y === 0 ? first : indent),
    ...partsOf(each),
  ])
}

/**
 * A command of ours, which a person copies whole, up to where its sentence goes on; or a word. Each
 * with the space after it.
 */
const wordPattern =
  / *(?:(?:ROOTLING_HOME=(?:'[^']*'|\\'|\\(?!')|[^ '\\])+ )?\brootling [a-z](?:'[^']*'|"[^"]*"|(?![;,:.)]{1,4}(?: |$)).)*[;,:.)]*|[^ ]+) ?| +/g

/** Returns the words of a line with the spaces after them, each in its style. */
const wordsOf = (line: Line): Part[] =>
  partsOf(line).flatMap((part): Part[] => {
    // Most cells of a long table are one word.
    if (typeof part === 'string' && part !== '' && !part.includes(' ')) return [printable(part)]
    if (typeof part === 'string') return printable(part).match(wordPattern) ?? []
    if (part.whole === true) return [part]
    return (printable(part.text).match(wordPattern) ?? []).map((text) => ({ ...part, text }))
  })

const longestWord = (line: Line): number => Math.max(0, ...wordsOf(line).map(wordWidth))

const wordWidth = (word: Part): number => columnsOf(textOf(word).trimEnd())

/** Wraps a line at its spaces; `first` is the width of the first line. Words stay whole. */
function wrapped(line: Line, width: number, first = width): Line[] {
  if (widthOf(line) <= first) return [line]
  const lines: Part[][] = [[]]
  let used = 0
  let room = first
  for (const word of wordsOf(line)) {
    if (used > 0 && !isArrow(lines.at(-1)?.at(-1)) && used + wordWidth(word) > room) {
      lines.push([])
      used = 0
      room = width
    }
    const isNext = used === 0 && lines.length > 1
    const part = isNext ? withText(word, textOf(word).trimStart()) : word
    lines.at(-1)?.push(part)
    used += columnsOf(textOf(part))
  }
  return lines.map((parts) => {
    const last = parts.at(-1) ?? ''
    return [...parts.slice(0, -1), withText(last, textOf(last).trimEnd())]
  })
}

/** Whether a word is the arrow before a hint, which is nothing without the word after it. */
const isArrow = (word: Part | undefined): boolean =>
  word !== undefined && textOf(word).trim() === '→'

const withText = (part: Part, text: string): Part =>
  typeof part === 'string' ? text : { ...part, text }

/** Returns the lines of all blocks, with an empty line between two blocks. */
export function blankBetween(blocks: readonly (readonly Line[])[]): Line[] {
  return blocks.flatMap((block, i) => (i === 0 ? block : ['', ...block]))
}

/**
 * Returns text that may have several lines, such as the body of an answer. Tabs become spaces.
 */
export function linesOf(text: string): string[] {
  return text.replaceAll('\t', '        ').split(/\r?\n/)
}
