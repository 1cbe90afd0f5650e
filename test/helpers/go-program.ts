import { createHash } from 'node:crypto'
import { access, copyFile, mkdir, readFile, rename } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { project } from './built.ts'
import { scrubbedEnvironment } from './scrubbed.ts'
import { run } from './subprocess.ts'

/**
 * Builds, offline, a Go program of one file that needs only the standard library; `directory` is
 * for Go's own files, `target` has Go's variables that name another system to build for. Keeps the program, and what was compiled of that library, for the next time.
 * Returns the program's path.
 */
export async function buildGo(
  source: string,
  directory: string,
  target: Readonly<Record<string, string>> = {},
): Promise<string> {
  const name = basename(source, '.go')
  const cache = join(project, 'node_modules/.cache/rootling-go')
  const own = {
    GOCACHE: cache,
    GOENV: 'off',
    GOFLAGS: '',
    GOPATH: join(directory, 'go'),
    GOPROXY: 'off',
    GOTOOLCHAIN: 'local',
    GO111MODULE: 'off',
    ...target,
  }
  const env = scrubbedEnvironment(directory, own)
  const { stdout: version } = await run('go', ['version'], env)
  const hash = createHash('sha256')
    .update(await readFile(source))
    .update(version)
    .update(JSON.stringify(target))
    .digest('hex')
  const kept = join(cache, 'programs', `${name}-${hash}`)
  const isKept = await access(kept).then(
    () => true,
    () => false,
  )
  if (isKept) return kept
  const program = join(directory, name)
  const built = await run('go', ['build', '-o', program, source], env)
  if (built.exitCode !== 0) throw new Error(`go build ${source}: ${built.stderr}`)
  await mkdir(join(cache, 'programs'), { recursive: true })
  const copy = `${kept}.${process.pid}`
  await copyFile(program, copy)
  await rename(copy, kept)
  return kept
}
