import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { scrubbedEnvironment } from '../helpers/scrubbed.ts'

/** A directory of a test in which the tools of others run; gone when the test is finished. */
export interface Workshop {
  readonly path: (name: string) => string
  readonly write: (name: string, data: string | Buffer) => string
  readonly read: (name: string) => Buffer
  /** Runs a program there; whatever its exit code. */
  readonly run: (program: string, ...args: string[]) => Promise<Outcome>
  /** The same, with more in its environment. */
  readonly runIn: (extra: Environment, program: string, ...args: string[]) => Promise<Outcome>
  /** Runs openssl, which has to succeed, and gives its standard output. */
  readonly openssl: (...args: string[]) => Promise<string>
}

type Environment = Readonly<Record<string, string>>

interface Outcome {
  readonly exitCode: number
  /** Standard output, then standard error. */
  readonly text: string
  readonly stdout: string
}

export function workshop(): Workshop {
  const cwd = mkdtempSync(join(tmpdir(), 'rootling-strangers-'))
  onTestFinished(() => rmSync(cwd, { recursive: true, force: true }))
  const path = (name: string) => join(cwd, name)
  const runIn = (extra: Environment, program: string, ...args: string[]) =>
    new Promise<Outcome>((resolve) => {
      const env = scrubbedEnvironment(cwd, extra)
      const child = execFile(program, args, { cwd, env, timeout: 600_000 }, (error, out, err) => {
        const exitCode = error === null ? 0 : typeof error.code === 'number' ? error.code : 255
        const failure = exitCode === 255 ? (error?.message ?? '') : ''
        resolve({ exitCode, text: out + err + failure, stdout: out })
      })
      child.stdin?.end()
    })
  const run = (program: string, ...args: string[]) => runIn({}, program, ...args)
  return {
    path,
    write(name, data) {
      writeFileSync(path(name), data)
      return path(name)
    },
    read: (name) => readFileSync(path(name)),
    run,
    runIn,
    async openssl(...args) {
      const { exitCode, text, stdout } = await run('openssl', ...args)
      if (exitCode !== 0) throw new Error(`openssl ${args.join(' ')}: ${text}`)
      return stdout
    },
  }
}
