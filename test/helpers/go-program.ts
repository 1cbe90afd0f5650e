import { basename, join } from 'node:path'
import { project } from './built.ts'
import { scrubbedEnvironment } from './scrubbed.ts'
import { run } from './subprocess.ts'

/**
 * Builds in `directory`, offline, a Go program of one file that needs only the standard library.
 * Keeps what was compiled of that library for the next build. Returns the program's path.
 */
export async function buildGo(source: string, directory: string): Promise<string> {
  const program = join(directory, basename(source, '.go'))
  const own = {
    GOCACHE: join(project, 'node_modules/.cache/rootling-go'),
    GOENV: 'off',
    GOFLAGS: '',
    GOPATH: join(directory, 'go'),
    GOPROXY: 'off',
    GOTOOLCHAIN: 'local',
    GO111MODULE: 'off',
  }
  const env = scrubbedEnvironment(directory, own)
  const built = await run('go', ['build', '-o', program, source], env)
  if (built.exitCode !== 0) throw new Error(`go build ${source}: ${built.stderr}`)
  return program
}
