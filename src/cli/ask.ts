import { createInterface } from 'node:readline/promises'
import { RootlingError } from '../errors.ts'

/** Asks a yes-or-no question on the terminal; Enter means no. Throws `cancelled` on Ctrl-C. */
export async function confirm(question: string): Promise<boolean> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  const cancelled = new Promise<never>((_resolve, reject) => {
    const stop = (): void =>
      reject(new RootlingError('cancelled', 'Cancelled; nothing was changed.'))
    terminal.once('SIGINT', stop).once('close', stop)
  })
  try {
    const answer = await Promise.race([terminal.question(`${question} [y/N] `), cancelled])
    return /^y(?:es)?$/i.test(answer.trim())
  } finally {
    cancelled.catch(() => undefined)
    terminal.close()
  }
}
