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
  readonly style: StyleName
  readonly text: string
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

/** Returns lines as text for a terminal or a file; `color` says whether styles become colours. */
export function render(lines: readonly Line[], color: () => boolean): string {
  const text = (part: Part): string => {
    const plain = printable(textOf(part))
    if (typeof part === 'string' || !color()) return plain
    const [open, close] = codes[part.style]
    return `\u001B[${open}m${plain}\u001B[${close}m`
  }
  return lines.map((line) => `${partsOf(line).map(text).join('')}\n`).join('')
}

const partsOf = (line: Line): readonly Part[] =>
  typeof line === 'string' || 'style' in line ? [line] : line

const textOf = (part: Part): string => (typeof part === 'string' ? part : part.text)

const widthOf = (cell: Line): number =>
  partsOf(cell).reduce((width, part) => width + printable(textOf(part)).length, 0)

/**
 * Returns each row of cells as lines of at most `width` letters, in columns that are as wide as their
 * widest cell, two spaces apart. Where that is too wide, cells take several lines: the last of a row
 * below the others, if it does not fit beside them.
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
  return linesOfRows(rows, width).flatMap((lines, i) => {
    const hint = hints[i] ?? null
    return hint === null ? lines : [...lines, ...hanging(hint, 4, width)]
  })
}

function linesOfRows(rows: readonly (readonly Line[])[], width: number): Line[][] {
  const widths: number[] = []
  // Only built-in methods loop here: V8 would take longer to compile two loops than to run them.
  rows.forEach((row) =>
    row.forEach((cell, x) => (widths[x] = Math.max(widths[x] ?? 0, widthOf(cell)))),
  )
  const total = widths.reduce((sum, each) => sum + each + 2, -2)
  if (total > width) return narrowTable(rows, widths, width)
  return rows.map((row) => {
    const last = row.findLastIndex((cell) => widthOf(cell) > 0)
    const line = row.slice(0, last + 1).flatMap((cell, x) => {
      const space = x === last ? 0 : (widths[x] ?? 0) + 2 - widthOf(cell)
      return [...partsOf(cell), ' '.repeat(space)]
    })
    return [line]
  })
}

/** The least letters beside the other columns that a text is given, and not lines of its own. */
const leastBeside = 24

function narrowTable(
  rows: readonly (readonly Line[])[],
  natural: readonly number[],
  width: number,
): Line[][] {
  const widths = shrunk(natural.slice(0, -1), width)
  const start = widths.reduce((sum, each) => sum + each + 2, 0)
  return rows.map((row) => {
    const cells = row.slice(0, widths.length).map((cell, x) => wrapped(cell, widths[x] ?? 0))
    const last = row[widths.length] ?? ''
    const isBeside = widthOf(last) <= width - start || fitsBeside(last, width - start)
    if (isBeside) cells.push(wrapped(last, width - start))
    const lines: Line[] = Array.from(
      { length: Math.max(...cells.map(({ length }) => length)) },
      (_, y) =>
        cells.flatMap((cell, x): Part[] => {
          const line = cell[y] ?? ''
          const rest = cells.slice(x + 1).some((other) => widthOf(other[y] ?? '') > 0)
          const space = rest ? (widths[x] ?? 0) + 2 - widthOf(line) : 0
          return [...partsOf(line), ' '.repeat(space)]
        }),
    )
    return isBeside ? lines : [...lines, ...hanging(last, 4, width)]
  })
}

/** Whether a text can be wrapped beside the other columns without a cut in a word. */
const fitsBeside = (cell: Line, room: number): boolean =>
  room >= leastBeside && wordsOf(cell).every((word) => widthOf(word) <= room)

/** Returns the widths of columns, the widest made narrower until all fit with two spaces each. */
function shrunk(natural: readonly number[], width: number): number[] {
  const widths = [...natural]
  const least = 8
  for (;;) {
    const excess = widths.reduce((sum, each) => sum + each + 2, -2) - width
    const widest = Math.max(...widths)
    if (excess <= 0 || widest <= least) return widths
    const others = widths.filter((each) => each < widest)
    const next = Math.max(least, widest - excess, ...others)
    widths[widths.indexOf(widest)] = next === widest ? widest - 1 : next
  }
}

/** Returns a line as lines of at most `width` letters, which begin with `indent` spaces. */
export function hanging(line: Line, indent: number, width: number): Line[] {
  return wrapped(line, width - indent).map((each) => [' '.repeat(indent), ...partsOf(each)])
}

/** Returns the words of a line with the spaces after them, each in its style. */
const wordsOf = (line: Line): Part[] =>
  partsOf(line).flatMap((part): Part[] => {
    const words = printable(textOf(part)).match(/ *[^ ]+ ?| +/g) ?? []
    return words.map((text) => (typeof part === 'string' ? text : { ...part, text }))
  })

/** Wraps a line at its spaces. A word that is longer than a line is cut, after a slash if possible. */
function wrapped(line: Line, width: number): Line[] {
  if (widthOf(line) <= width) return [line]
  const lines: Part[][] = [[]]
  let used = 0
  for (const word of wordsOf(line).flatMap((each) => piecesOf(each, width))) {
    const length = textOf(word).trimEnd().length
    if (used > 0 && used + length > width) {
      lines.push([])
      used = 0
    }
    lines.at(-1)?.push(word)
    used += textOf(word).length
  }
  return lines
}

function piecesOf(word: Part, width: number): Part[] {
  const text = textOf(word)
  if (text.trimEnd().length <= width) return [word]
  const slash = text.lastIndexOf('/', width - 1)
  const cut = slash > width / 2 ? slash + 1 : width
  const piece = (each: string): Part => (typeof word === 'string' ? each : { ...word, text: each })
  return [piece(text.slice(0, cut)), ...piecesOf(piece(text.slice(cut)), width)]
}

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
