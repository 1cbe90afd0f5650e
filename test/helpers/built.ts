import { spawnSync } from 'node:child_process'
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { basename, join } from 'node:path'

/** The absolute path of the project's directory. */
export const project = join(import.meta.dirname, '../..')

/** The path of the built `rootling`, as the package ships it. `ensureBuilt` builds it. */
export const command = join(project, 'dist/cli/rootling.cjs')

/** The path of the built `rootling-mkcert`. */
export const mkcertCommand = join(project, 'dist/cli/rootling-mkcert.cjs')

/**
 * Returns the paths of both commands as programs, which run with this Node whatever other Nodes are
 * in PATH.
 */
export function builtPrograms(): { readonly rootling: string; readonly mkcert: string } {
  ensureBuilt()
  return { rootling: programOf(command), mkcert: programOf(mkcertCommand) }
}

function programOf(script: string): string {
  const directory = join(project, 'node_modules/.cache/rootling-programs')
  mkdirSync(directory, { recursive: true })
  const program = join(directory, basename(script, '.cjs'))
  const own = `${program}.${process.pid}`
  writeFileSync(own, `#!/bin/sh\nexec '${process.execPath}' '${script}' "$@"\n`, { mode: 0o755 })
  renameSync(own, program)
  return program
}

/**
 * Builds `dist` when it is older than the sources. Test files run in several processes: the process
 * that creates the lock file builds, and the others wait for it.
 */
export function ensureBuilt(): void {
  outcome ??= attempt()
  if (outcome instanceof Error) throw outcome
}

/**
 * The result of the build. It is tried once in each process, so that a build that failed is not
 * tried again by every test.
 */
let outcome: Error | 'built' | undefined

function attempt(): Error | 'built' {
  try {
    buildIfStale()
    return 'built'
  } catch (error) {
    return error as Error
  }
}

function buildIfStale(): void {
  const lock = join(project, 'node_modules/.rootling-building.pid')
  while (isStale()) {
    if (!takeLock(lock)) {
      // A test run that was killed leaves its lock behind.
      if (!isHeld(lock)) rmSync(lock, { force: true })
      sleep(100)
      continue
    }
    try {
      if (isStale()) build()
    } finally {
      rmSync(lock, { force: true })
    }
    return
  }
}

function build(): void {
  const script = join(project, 'scripts/build.mjs')
  const built = spawnSync(process.execPath, [script], { cwd: project, encoding: 'utf8' })
  if (built.status !== 0) throw new Error(`the build failed: ${built.stdout}${built.stderr}`)
}

function isStale(): boolean {
  const built = modified(command)
  return built === null || sources().some((file) => (modified(file) ?? 0) > built)
}

function sources(): string[] {
  const below = ['src', 'platform', 'scripts/share'].flatMap((directory) =>
    readdirSync(join(project, directory), { recursive: true }).map((file) =>
      join(project, directory, String(file)),
    ),
  )
  const others = ['package.json', 'tsconfig.json', 'scripts/build.mjs']
  return [...below, ...others.map((file) => join(project, file))]
}

/** Returns when a file was last modified, in milliseconds; `null`: there is no such file. */
function modified(file: string): number | null {
  return statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? null
}

function takeLock(lock: string): boolean {
  try {
    writeFileSync(lock, `${process.pid}`, { flag: 'wx' })
    return true
  } catch {
    return false
  }
}

/**
 * Whether the process that created the lock file is alive. A process that has not yet written its
 * ID into the file counts as alive.
 */
function isHeld(lock: string): boolean {
  try {
    const holder = readFileSync(lock, 'utf8')
    if (holder !== '') process.kill(Number(holder), 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

function sleep(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds)
}
