import { spawn } from 'node:child_process'
import { scrubbedEnvironment } from '../helpers/openssl-authority.ts'

export interface Ran {
  code: number | null
  stdout: string
  stderr: string
}

/** Runs a client without the certificate variables of this machine; its input stays closed. */
export function run(program: string, args: string[], input = ''): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { env: scrubbedEnvironment() })
    let stdout = ''
    let stderr = ''
    child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()))
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
    child.once('error', reject)
    child.once('close', (code) => resolve({ code, stdout, stderr }))
    child.stdin.on('error', () => {})
    child.stdin.end(input)
  })
}
