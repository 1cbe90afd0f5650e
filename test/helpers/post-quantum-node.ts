import { npmProgram } from './npm-program.ts'

/** The program of a Node that knows X25519MLKEM768, or why there is none here. */
export type PostQuantumNode =
  | { readonly node: string; readonly missing: null }
  | { readonly node: null; readonly missing: string }

/**
 * Finds a Node with OpenSSL 3.5: the one that runs the tests, or the one in the npm package that
 * `node@24` installs.
 */
export async function postQuantumNode(): Promise<PostQuantumNode> {
  if (knowsMlKem(process.versions.openssl)) return { node: process.execPath, missing: null }
  const name = `node-${process.platform}-${process.arch}`
  const { program, missing } = await npmProgram(`${name}@24`, 'bin/node', 'rootling-node24')
  return program === null ? { node: null, missing } : { node: program, missing: null }
}

/** Whether an OpenSSL of this version, such as `3.0.19`, has the group X25519MLKEM768. */
export function knowsMlKem(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  return major > 3 || (major === 3 && minor >= 5)
}
