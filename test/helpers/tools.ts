import { writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { scrubbedEnvironment } from './scrubbed.ts'
import { run, type Finished } from './subprocess.ts'

/** Runs a program of the system, in an environment that names no roots to trust. */
export function runTool(program: string, args: readonly string[], input = ''): Promise<Finished> {
  return run(program, args, scrubbedEnvironment(homedir(), { TZ: 'UTC' }), { input })
}

/** Whether a program is in the scrubbed environment's PATH. */
export async function hasTool(program: string): Promise<boolean> {
  return (await runTool('sh', ['-c', 'command -v "$1"', 'sh', program])).exitCode === 0
}

/**
 * Runs `openssl verify` on many leaves at once. Returns for each leaf `null` when OpenSSL accepts
 * it, otherwise OpenSSL's reason. The files are left in `directory`.
 */
export async function opensslVerdicts(
  directory: string,
  { root, intermediate }: { root: string; intermediate: string },
  leaves: readonly string[],
  args: readonly string[] = [],
): Promise<(string | null)[]> {
  const [rootFile, intermediateFile] = [join(directory, 'root.pem'), join(directory, 'ca.pem')]
  const files = leaves.map((_, i) => join(directory, `leaf-${i}.pem`))
  await Promise.all([
    writeFile(rootFile, root),
    writeFile(intermediateFile, intermediate),
    ...leaves.map((leaf, i) => writeFile(files[i] ?? '', leaf)),
  ])
  const trust = ['-no-CApath', '-no-CAstore', '-CAfile', rootFile, '-untrusted', intermediateFile]
  const result = await runTool('openssl', ['verify', '-x509_strict', ...trust, ...args, ...files])
  const lines = `${result.stdout}\n${result.stderr}`.split('\n')
  const ok = new Set(lines.filter((line) => line.endsWith(': OK')).map((line) => line.slice(0, -4)))
  const errors = lines.filter((line) => line.startsWith('error ') && !line.startsWith('error /'))
  const reasons = errors.map((line) => line.replace(/^.*lookup: /, ''))
  let failed = 0
  return files.map((file) => (ok.has(file) ? null : (reasons[failed++] ?? 'no reason given')))
}
