import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { ensureBuilt, project } from './built.ts'

/** Builds the single executable, for this machine or a target, into a directory. Returns its path. */
export function buildStandalone(directory: string, target?: string): string {
  ensureBuilt()
  const script = join(project, 'scripts/standalone/build.mjs')
  const args = [script, '--out', directory, ...(target === undefined ? [] : ['--target', target])]
  const output = execFileSync(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  return output.toString().trimEnd().split('\n').at(-1) ?? ''
}

/**
 * Returns the path of the single executable for this machine, which the first test that asks in a
 * run of the tests builds, whatever process it is in; the others wait.
 */
export async function standalone(): Promise<string> {
  const directory = join(tmpdir(), 'standalone')
  const result = join(directory, 'result.json')
  const isFirst = mkdirSync(directory, { recursive: true }) !== undefined
  if (isFirst) {
    let outcome: { path: string } | { error: string }
    try {
      outcome = { path: buildStandalone(directory) }
    } catch (error) {
      outcome = { error: String(error) }
    }
    writeFileSync(result, JSON.stringify(outcome))
  }
  while (!existsSync(result)) await sleep(200)
  const outcome = JSON.parse(readFileSync(result, 'utf8')) as { path: string } | { error: string }
  if ('error' in outcome) throw new Error(outcome.error)
  return outcome.path
}
