import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { project } from '../helpers/built.ts'

const reference = join(project, 'scripts/api')

/** The compiler that typedoc uses, which is older than the project's own. */
export const typescript = join(reference, 'node_modules/typescript/bin/tsc')

/** Something public, with the examples in its docstring. */
export interface Documented {
  /** Its full name, such as `rootling/test.EphemeralAuthority.crls`. */
  readonly name: string
  /** Whether it must have an example: it is a function, a class or a method. */
  readonly isNeeded: boolean
  readonly examples: readonly string[]
}

/** Reads the docstrings of all that a package exports. */
export function documentedIn(directory: string): Documented[] {
  const script = [join(reference, 'api.mjs'), '--examples', directory]
  return JSON.parse(execFileSync(process.execPath, script, { encoding: 'utf8' })) as Documented[]
}
