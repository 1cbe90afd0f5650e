import { createInterface } from 'node:readline/promises'
import { Readable, Writable } from 'node:stream'
import { ReadStream } from 'node:tty'
import { Interrupted, RootlingError } from '../errors.ts'
import { printable } from '../printable.ts'
import { hanging, render } from './lines.ts'
import { openStreams, standardError } from './standard-streams.ts'

/**
 * Asks a yes-or-no question, in one line or several, on the terminal; Enter means no. Throws
 * `cancelled` on Ctrl-C.
 */
export async function confirm(question: readonly string[]): Promise<boolean> {
  openStreams()
  const answer = await ask(process.stderr, questionText(question, standardError.columns))
  return /^y(?:es)?$/i.test(answer.trim())
}

/**
 * Returns the text of a yes-or-no question, wrapped between words into lines of at most `width`
 * columns. The spaces that a line begins with stay.
 */
export function questionText(question: readonly string[], width: number): string {
  const lines = question.flatMap((line, i) => {
    const start = Math.max(0, line.search(/\S/))
    const text = `${line.slice(start)}${i === question.length - 1 ? ' [y/N]' : ''}`
    return hanging(text, start + 2, width - 1, start)
  })
  return `${render(lines, () => false).trimEnd()} `
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
  process.stderr.write(printable(prompt))
  try {
    return await ask(silent, '')
  } finally {
    process.stderr.write('\n')
  }
}

async function ask(output: NodeJS.WritableStream, question: string): Promise<string> {
  const { input, close } = openKeyboard()
  const terminal = createInterface({ input, output, terminal: true })
  const stopped = new Promise<never>((_resolve, reject) => {
    const stop = (): void => reject(new Interrupted())
    terminal.once('SIGINT', stop).once('close', stop)
  })
  terminal.once('line', close)
  try {
    return await Promise.race([terminal.question(question), stopped])
  } finally {
    stopped.catch(() => undefined)
    terminal.close()
    close()
  }
}

interface Keyboard {
  readonly input: Readable
  /** Takes no further octet from the terminal. */
  readonly close: () => void
}

/**
 * Opens the terminal so that one octet at a time is taken from it. A person who pastes several lines
 * means the first one alone for this question: what follows stays in the terminal for the next
 * question, or for the shell.
 */
function openKeyboard(): Keyboard {
  // A Windows console has no such queue.
  if (process.platform === 'win32') return { input: process.stdin, close: () => undefined }
  let open = true
  const onread = {
    buffer: Buffer.alloc(1),
    callback(count: number, buffer: Uint8Array): boolean {
      input.push(Buffer.from(buffer.subarray(0, count)))
      return open
    },
  }
  // net.Socket documents `onread`, and tty.ReadStream hands all options on to it.
  const options = { readable: true, onread }
  const keyboard = new ReadStream(0, options)
  // readline turns the echo of the terminal off by this method, and on again.
  const input: Readable = Object.assign(new Readable({ read: () => undefined }), {
    isTTY: true,
    setRawMode: (raw: boolean) => keyboard.setRawMode(raw),
  })
  keyboard.on('end', () => input.push(null)).on('error', () => input.push(null))
  keyboard.resume()
  const close = (): void => {
    if (!open) return
    open = false
    keyboard.pause()
    // readline sets the mode back first, which needs the terminal.
    setImmediate(() => keyboard.destroy())
  }
  return { input, close }
}
