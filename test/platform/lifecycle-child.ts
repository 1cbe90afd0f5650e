import { writeFileSync } from 'node:fs'
import { scenarios } from './scenarios.ts'

/** Runs every scenario on this machine, which has to be a private copy, and writes what came of each. */
const [output, only] = process.argv.slice(2)
const results: Record<string, { error: string | null; milliseconds: number }> = {}
for (const [name, scenario] of Object.entries(scenarios)) {
  if (only !== undefined && only !== name) continue
  const start = Date.now()
  let error: string | null = null
  try {
    await scenario()
  } catch (failure) {
    error = failure instanceof Error ? (failure.stack ?? failure.message) : String(failure)
  }
  results[name] = { error, milliseconds: Date.now() - start }
}
if (output !== undefined) writeFileSync(output, JSON.stringify(results, null, 2))
