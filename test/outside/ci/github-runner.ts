import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'
import { project } from '../../helpers/built.ts'
import type { Namespace } from '../../helpers/namespace.ts'

interface Action {
  readonly inputs: Readonly<Record<string, { readonly default: string }>>
  readonly outputs: Readonly<Record<string, { readonly value: string }>>
  readonly runs: { readonly steps: readonly Step[] }
}

interface Step {
  readonly name: string
  readonly id?: string
  readonly shell: string
  readonly env?: Readonly<Record<string, string>>
  readonly run: string
}

/** The action as its file says. */
export const readAction = (): Action =>
  parse(readFileSync(join(project, 'action.yml'), 'utf8')) as Action

/** What later steps of the job see. */
interface Job {
  readonly env: Readonly<Record<string, string>>
  readonly outputs: Readonly<Record<string, string>>
}

/**
 * Runs each step of the action as GitHub's runner does on Linux: the script is a file for bash, inputs
 * come as variables, and what a step writes to the files of GITHUB_ENV, GITHUB_PATH and GITHUB_OUTPUT
 * reaches the steps after it. Throws with what a step printed where it fails.
 */
export async function runAction(
  namespace: Namespace,
  given: Readonly<Record<string, string>>,
  path: string,
): Promise<Job> {
  const { inputs, outputs, runs } = readAction()
  const temp = `${namespace.home}/runner`
  const files = { GITHUB_ENV: '', GITHUB_PATH: '', GITHUB_OUTPUT: '' }
  const stepOutputs: Record<string, string> = {}
  const env: Record<string, string> = {
    PATH: path,
    RUNNER_TEMP: temp,
    RUNNER_OS: 'Linux',
    GITHUB_ACTION_PATH: project,
  }
  for (const [i, step] of runs.steps.entries()) {
    if (step.shell !== 'bash' || step.run.includes('${{')) throw new Error(`step ${step.name}`)
    for (const name of Object.keys(files)) {
      const file = `${temp}/${name}-${i}`
      await namespace.writeFile(file, '')
      env[name] = file
    }
    const script = `${temp}/${i}.sh`
    await namespace.writeFile(script, step.run)
    const own = Object.entries(step.env ?? {}).map(([name, text]) => [
      name,
      text.replace(
        /^\$\{\{ inputs\.(\w+) \}\}$/,
        (_, input: string) => given[input] ?? inputs[input]?.default ?? '',
      ),
    ])
    const bash = ['--noprofile', '--norc', '-eo', 'pipefail', script]
    await namespace.must('bash', bash, { env: { ...env, ...Object.fromEntries(own) } })
    const written = async (name: keyof typeof files): Promise<string> =>
      (await namespace.readFile(env[name] ?? '')) ?? ''
    Object.assign(stepOutputs, variablesIn(await written('GITHUB_OUTPUT')))
    const added = (await written('GITHUB_PATH')).split('\n').filter((line) => line !== '')
    Object.assign(env, variablesIn(await written('GITHUB_ENV')))
    env['PATH'] = [...added.toReversed(), env['PATH']].join(':')
  }
  const named = Object.entries(outputs).map(([name, { value }]) => [
    name,
    value.replace(
      /^\$\{\{ steps\.issue\.outputs\.(\w+) \}\}$/,
      (_, output: string) => stepOutputs[output] ?? '',
    ),
  ])
  return { env, outputs: Object.fromEntries(named) as Record<string, string> }
}

/** Reads `NAME=value` and `NAME<<END`, as the runner does. */
function variablesIn(text: string): Record<string, string> {
  const found: Record<string, string> = {}
  const lines = text.split('\n').values()
  for (const line of lines) {
    const [, name = '', end] = /^(\w+)<<(.+)$/.exec(line) ?? []
    if (end === undefined) {
      const [, key, value] = /^(\w+)=(.*)$/.exec(line) ?? []
      if (key !== undefined) found[key] = value ?? ''
      continue
    }
    const value: string[] = []
    for (const next of lines) {
      if (next === end) break
      value.push(next)
    }
    found[name] = value.join('\n')
  }
  return found
}
