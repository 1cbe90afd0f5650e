import { execFile } from 'node:child_process'
import { access, mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { project } from './built.ts'

/** The program of a Node that knows X25519MLKEM768, or why there is none here. */
export type PostQuantumNode =
  | { readonly node: string; readonly missing: null }
  | { readonly node: null; readonly missing: string }

/**
 * Finds a Node with OpenSSL 3.5: the one that runs the tests, or the one in the npm package that
 * `node@24` installs, which is downloaded once into node_modules/.cache. A registry that does not
 * answer is no failure but a reason to skip.
 */
export async function postQuantumNode(): Promise<PostQuantumNode> {
  if (knowsMlKem(process.versions.openssl)) return { node: process.execPath, missing: null }
  const name = `node-${process.platform}-${process.arch}`
  const kept = join(project, 'node_modules/.cache/rootling-node24')
  const node = join(kept, 'node_modules', name, 'bin/node')
  try {
    if (!(await exists(node))) await download(`${name}@24`, kept)
    await promisify(execFile)(node, ['--version'])
    return { node, missing: null }
  } catch (error) {
    const lines = String((error as { stderr?: string }).stderr || error)
      .trim()
      .split('\n')
    return { node: null, missing: `npm's ${name}@24 cannot be had: ${lines[0]}` }
  }
}

/** Whether an OpenSSL of this version, such as `3.0.19`, has the group X25519MLKEM768. */
export function knowsMlKem(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  return major > 3 || (major === 3 && minor >= 5)
}

/** Several test files may do this at once, so each downloads into a directory of its own. */
async function download(spec: string, directory: string): Promise<void> {
  await mkdir(join(directory, '..'), { recursive: true })
  const own = await mkdtemp(`${directory}-`)
  try {
    await writeFile(join(own, 'package.json'), '{ "private": true }\n')
    const flags = ['--ignore-scripts', '--no-audit', '--no-fund', '--fetch-retries=0']
    const options = { cwd: own, timeout: 300_000 }
    await promisify(execFile)('npm', ['install', ...flags, spec], options)
    await rename(own, directory).catch(() => {})
  } finally {
    await rm(own, { recursive: true, force: true })
  }
}

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  )
