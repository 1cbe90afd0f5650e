import { execFile } from 'node:child_process'
import { access, mkdir, mkdtemp, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { project } from './built.ts'

/** The directory for PYTHONPATH that has a package and its dependencies, or why it cannot be had. */
export type PipPackage =
  | { readonly directory: string; readonly missing: null }
  | { readonly directory: null; readonly missing: string }

/**
 * Finds a package as PyPI has it, without a distribution's changes, for the system's Python. The
 * package is downloaded once into node_modules/.cache, by the caller's pip and its configuration; a
 * registry that does not answer is no failure but a reason to skip. `module` is what Python imports.
 */
export async function pipPackage(name: string, module = name): Promise<PipPackage> {
  const directory = join(project, 'node_modules/.cache', `rootling-pypi-${name}`)
  const has = (path: string): Promise<boolean> =>
    access(path).then(
      () => true,
      () => false,
    )
  try {
    if (!(await has(directory))) await download(name, directory)
    const env = { ...process.env, PYTHONPATH: directory }
    const check = `import ${module}; assert ${module}.__file__.startswith(${JSON.stringify(directory)})`
    await promisify(execFile)('/usr/bin/python3', ['-c', check], { env })
    return { directory, missing: null }
  } catch (error) {
    const lines = String((error as { stderr?: string }).stderr || error).trim()
    return { directory: null, missing: `PyPI's ${name} cannot be had: ${lines.split('\n').at(-1)}` }
  }
}

/** Several test files may do this at once, so each downloads into a directory of its own. */
async function download(name: string, directory: string): Promise<void> {
  await mkdir(join(directory, '..'), { recursive: true })
  const own = await mkdtemp(`${directory}-`)
  try {
    const flags = ['--quiet', '--no-input', '--retries=0', '--disable-pip-version-check']
    const args = ['-m', 'pip', 'install', ...flags, '--target', own, name]
    await promisify(execFile)('python3', args, { timeout: 120_000 })
    await rename(own, directory).catch(() => {})
  } finally {
    await rm(own, { recursive: true, force: true })
  }
}
