import { spawnSync } from 'node:child_process'
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { migrations } from '../../src/storage/postgres/schema.ts'
import { project } from '../helpers/built.ts'

/**
 * Builds a release whose schema has one step more than this one, and returns the path of its command. It
 * is deleted with the test.
 */
export async function buildNextRelease(sql: string): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'rootling-next-'))
  onTestFinished(() => rm(directory, { recursive: true, force: true }))
  for (const name of ['src', 'platform', 'scripts', 'package.json', 'tsconfig.json'])
    await cp(join(project, name), join(directory, name), { recursive: true })
  await symlink(join(project, 'node_modules'), join(directory, 'node_modules'))
  const file = join(directory, 'src/storage/postgres/schema.ts')
  const schema = await readFile(file, 'utf8')
  const step = `  { number: ${migrations.length + 1}, sql: ${JSON.stringify(sql)} },\n]\n`
  if (!schema.endsWith('\n]\n')) throw new Error('the schema does not end with its last step')
  await writeFile(
    file,
    schema.replace(/\]\n$/, () => step),
  )
  const script = join(directory, 'scripts/build.mjs')
  const built = spawnSync(process.execPath, [script], { cwd: directory, encoding: 'utf8' })
  if (built.status !== 0) throw new Error(`the build failed: ${built.stdout}${built.stderr}`)
  const program = join(directory, 'rootling')
  const command = join(directory, 'dist/cli/rootling.cjs')
  const text = `#!/bin/sh\nexec '${process.execPath}' '${command}' "$@"\n`
  await writeFile(program, text, { mode: 0o755 })
  return program
}
