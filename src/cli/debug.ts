import { inspect } from 'node:util'
import { linesOf } from './lines.ts'
import { linePrinter } from './output.ts'
import { standardError } from './standard-streams.ts'

/** Prints an error with its stack and causes, for ROOTLING_DEBUG=1. */
export function printDetails(error: unknown): void {
  linePrinter(standardError, process.env)(...linesOf(inspect(error)))
}
