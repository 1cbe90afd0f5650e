import { createInterface } from 'node:readline'
import { command } from '../../helpers/built.ts'
import type { Namespace } from '../../helpers/namespace.ts'
import { killGroup } from '../../helpers/subprocess.ts'

/** A running `rootling serve` and what it has logged so far. */
export interface Serving {
  readonly port: number
  readonly url: string
  log(): string
  close(): void
}

/** Starts `rootling serve` on a free port and waits for it to listen. */
export async function serveIn(namespace: Namespace, args: readonly string[]): Promise<Serving> {
  const line = [command, 'serve', '--json', '--port', '0', ...args]
  const program = namespace.spawn(process.execPath, line)
  let log = ''
  program.stderr.setEncoding('utf8').on('data', (text: string) => (log += text))
  let printed = ''
  for await (const text of createInterface({ input: program.stdout })) {
    printed += text
    if (text !== '}') continue
    program.stdout.resume()
    const { port } = JSON.parse(printed) as { port: number }
    const url = `https://localhost:${port}/`
    return { port, url, log: () => log, close: () => killGroup(program) }
  }
  throw new Error(`rootling ${line.join(' ')} did not listen: ${log}`)
}
