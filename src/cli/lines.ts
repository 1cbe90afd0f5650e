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

/** Returns each row of cells as a line, in columns that are as wide as their widest cell, two spaces apart. */
export function table(rows: readonly (readonly Line[])[]): Line[] {
  const widths: number[] = []
  const widthOf = (cell: Line): number =>
    partsOf(cell).reduce((width, part) => width + printable(textOf(part)).length, 0)
  // Only built-in methods loop here: V8 would take longer to compile two loops than to run them.
  rows.forEach((row) =>
    row.forEach((cell, x) => (widths[x] = Math.max(widths[x] ?? 0, widthOf(cell)))),
  )
  return rows.map((row) => {
    const last = row.findLastIndex((cell) => widthOf(cell) > 0)
    return row.slice(0, last + 1).flatMap((cell, x) => {
      const space = x === last ? 0 : (widths[x] ?? 0) + 2 - widthOf(cell)
      return [...partsOf(cell), ' '.repeat(space)]
    })
  })
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
