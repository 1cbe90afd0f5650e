import { isAbsolute, resolve } from 'node:path'
import { findSystemRoots } from '../../platform/system-roots.ts'
import { certificatesAt, withoutDoubles } from '../runtimes/certificate-files.ts'
import { variables as table, type Environment } from '../runtimes/variables.ts'
import { writeTemporary, type TemporaryFiles } from './temporary-files.ts'

/** Variables that make child processes trust the root, and the files that they name. */
export interface ChildEnvironment extends TemporaryFiles {
  /** The variables, to be put over the environment of the child. */
  readonly variables: Readonly<Record<string, string>>
}

/**
 * Writes the files that variables name, and returns the variables, as `rootling run` sets them. A
 * variable that replaces a program's roots names a bundle: the roots of the system, those that the
 * variable named before, and `root`. Throws `state-unwritable`.
 */
export async function environmentOfChildren(
  root: string,
  env: Environment,
): Promise<ChildEnvironment> {
  const system = await (await findSystemRoots()).read()
  const files: Record<string, string> = {}
  const named: [variable: string, file: string][] = []
  for (const { name, effect, where, value } of table) {
    // A variable that names no file speaks of the system's store, where the root is not.
    if (value !== undefined || where?.(env) === false) continue
    const before = env[name] ?? ''
    const roots = before === '' ? '' : certificatesAt(isAbsolute(before) ? before : resolve(before))
    const text = withoutDoubles([effect === 'adds' ? '' : system, roots ?? '', root].join('\n'))
    const known = Object.entries(files).find(([, contents]) => contents === text)?.[0]
    const file = known ?? `roots-${Object.keys(files).length}.pem`
    files[file] = text
    named.push([name, file])
  }
  const { pathOf, ...rest } = await writeTemporary(files)
  return {
    ...rest,
    variables: Object.fromEntries(named.map(([name, file]) => [name, pathOf(file)])),
  }
}
