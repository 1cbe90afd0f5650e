import { basename, join } from 'node:path'
import { scrubbedEnvironment } from './scrubbed.ts'
import { run } from './subprocess.ts'

/**
 * Builds a Go program of one file that needs only the standard library. The build is offline and
 * writes files only in `directory`. Returns the program's path.
 */
export async function buildGo(source: string, directory: string): Promise<string> {
  const program = join(directory, basename(source, '.go'))
  const own = {
    GOCACHE: join(directory, 'go-cache'),
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
