import { dirname } from 'node:path'
import { commandForEverybody } from '../../helpers/for-everybody.ts'
import { namespaceUnavailable, openNamespace } from '../../helpers/namespace.ts'
import type { Namespace } from '../../helpers/namespace.ts'
import type { Finished, RunOptions } from '../../helpers/subprocess.ts'
import { notInstalled } from '../e2e/client.ts'

/** A user of their own in the namespace's /etc/passwd, gone with it. */
export interface Person {
  readonly name: string
  readonly home: string
  /** Runs a program as this user, with their home, umask 022 and nothing else of this process. */
  readonly run: (
    program: string,
    args: readonly string[],
    options?: RunOptions,
  ) => Promise<Finished>
  /** Runs a line of `sh`; `$1`, … are the further words. */
  readonly sh: (script: string, ...words: string[]) => Promise<Finished>
  readonly rootling: (args: readonly string[], options?: RunOptions) => Promise<Finished>
}

/** Ada, who has an authority, and Mallory, who has an account on the same machine. */
export interface People {
  readonly namespace: Namespace
  /** Everybody may go in; only root may write. */
  readonly scratch: string
  readonly ada: Person
  readonly mallory: Person
  /** `[node, rootling.cjs]`, where every user can reach them. */
  readonly command: readonly [string, string]
}

/** Why these tests cannot run here; `null` where they can. */
export async function peopleUnavailable(...more: string[]): Promise<string | null> {
  const needed = ['useradd', 'runuser', ...more]
  const missing = await Promise.all(needed.map(notInstalled))
  return namespaceUnavailable() ?? missing.find((reason) => reason !== null) ?? null
}

/** Opens a namespace with both; close the namespace when done. */
export async function openPeople(): Promise<People> {
  const namespace = await openNamespace()
  const scratch = dirname(namespace.home)
  const command = await commandForEverybody(namespace)
  const script = `
    set -eu
    scratch=$1
    for name in ada mallory; do
      useradd --create-home --home-dir "$scratch/$name" --shell /bin/sh "$name"
      chmod 0755 "$scratch/$name"
    done`
  await namespace.must('sh', ['-c', script, 'sh', scratch])
  const person = (name: string): Person => {
    const home = `${scratch}/${name}`
    const run: Person['run'] = (program, args, { env = {}, ...options } = {}) => {
      const variables = Object.entries({ HOME: home, USER: name, LOGNAME: name, ...env })
      const words = ['env', `--chdir=${home}`, ...variables.map((pair) => pair.join('='))]
      const line = ['-u', name, '--', ...words, program, ...args]
      return namespace.run('runuser', line, options)
    }
    return {
      name,
      home,
      run,
      sh: (script, ...words) => run('sh', ['-c', script, 'sh', ...words]),
      rootling: (args, options) => run(command[0], [command[1], ...args], options),
    }
  }
  return { namespace, scratch, ada: person('ada'), mallory: person('mallory'), command }
}
