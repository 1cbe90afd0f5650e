import { appendFileSync } from 'node:fs'

/** Whether the long form of the tests runs. `npm run test:faults` sets ROOTLING_LONG_TESTS. */
export const long = process.env['ROOTLING_LONG_TESTS'] !== undefined

/** Adds `count` to the sum for `what` that `npm run test:faults` prints at its end. */
export function tally(what: string, count: number): void {
  const path = process.env['ROOTLING_TALLY']
  if (path !== undefined) appendFileSync(path, `${JSON.stringify([what, count])}\n`)
}
