import { createInterface } from 'node:readline/promises'
import { Writable } from 'node:stream'
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

/** Asks for a secret, which is not shown. Throws `cancelled` on Ctrl-C or an empty answer. */
export async function askSecret(prompt: string): Promise<string> {
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() })
  const terminal = createInterface({ input: process.stdin, output: silent, terminal: true })
  process.stderr.write(prompt)
  const cancelled = new Promise<never>((_resolve, reject) => {
    const stop = (): void =>
      reject(new RootlingError('cancelled', 'Cancelled; nothing was changed.'))
    terminal.once('SIGINT', stop).once('close', stop)
  })
  try {
    const secret = await Promise.race([terminal.question(''), cancelled])
    if (secret !== '') return secret
    throw new RootlingError('cancelled', 'No passphrase was given; nothing was changed.')
  } finally {
    cancelled.catch(() => undefined)
    terminal.close()
    process.stderr.write('\n')
  }
}
