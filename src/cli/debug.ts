import { inspect } from 'node:util'
import { linesOf } from './lines.ts'
import { linePrinter } from './output.ts'
import { standardError } from './standard-streams.ts'

/**
 * Prints an error with its stack and causes, for ROOTLING_DEBUG=1. The lines are indented, so that a
 * line break in the error's sentence begins no line like those of the program.
 */
export function printDetails(error: unknown): void {
  linePrinter(standardError, process.env)(linesOf(inspect(error)).map((line) => `    ${line}`))
}
