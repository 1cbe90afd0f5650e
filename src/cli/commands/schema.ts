import { projectSchema } from '../../project/json-schema.ts'
import { exitCodes, type ExitCode } from '../command.ts'
import type { Context } from '../context.ts'
import { linesOf } from '../lines.ts'

/** `rootling schema`: prints the JSON Schema of rootling.json. */
export async function schema(_args: unknown, { output }: Context): Promise<ExitCode> {
  const value = projectSchema()
  output.result(linesOf(JSON.stringify(value, null, 2)), { schema: value })
  return exitCodes.ok
}
