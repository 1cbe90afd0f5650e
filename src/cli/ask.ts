import { createInterface, type Interface } from 'node:readline/promises'
import { Writable } from 'node:stream'
import { RootlingError } from '../errors.ts'
import { printable } from '../printable.ts'
import { openStreams } from './standard-streams.ts'

/**
 * Asks a yes-or-no question, in one line or several, on the terminal; Enter means no. Throws
 * `cancelled` on Ctrl-C.
 */
export async function confirm(question: readonly string[]): Promise<boolean> {
  openStreams()
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  const answer = await ask(terminal, `${question.map((line) => printable(line)).join('\n')} [y/N] `)
  return /^y(?:es)?$/i.test(answer.trim())
}

/**
 * Asks for a secret on the terminal, without showing what is typed. Throws `cancelled` on Ctrl-C or
 * an empty answer.
 */
export async function askSecret(prompt: string): Promise<string> {
  const secret = await askSecretOrNone(prompt)
  if (secret !== '') return secret
  throw new RootlingError('cancelled', 'No passphrase was given; nothing was changed.')
}

/** Asks as `askSecret` does; an empty answer is returned. */
export async function askSecretOrNone(prompt: string): Promise<string> {
  openStreams()
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() })
  const terminal = createInterface({ input: process.stdin, output: silent, terminal: true })
  process.stderr.write(printable(prompt))
  try {
    return await ask(terminal, '')
  } finally {
    process.stderr.write('\n')
  }
}

async function ask(terminal: Interface, question: string): Promise<string> {
  const stopped = new Promise<never>((_resolve, reject) => {
    const stop = (): void => reject(cancelled())
    terminal.once('SIGINT', stop).once('close', stop)
  })
  try {
    return await Promise.race([terminal.question(question), stopped])
  } finally {
    stopped.catch(() => undefined)
    terminal.close()
  }
}

const cancelled = (): RootlingError =>
  new RootlingError('cancelled', 'Cancelled; nothing was changed.')
