import type { AskKeystorePassword } from '../../platform/java/keystore.ts'
import type { Output } from './output.ts'

const mostTries = 3

/**
 * Returns a function that asks for the passwords of Java keystores on the terminal: in three tries,
 * of one keystore at a time, and once for each. A password that opened one is tried on the others
 * first. Enter leaves a keystore out; Ctrl-C ends every question with `cancelled`.
 */
export function createKeystoreAsker(output: Output): AskKeystorePassword {
  const known: string[] = []
  const answers = new Map<string, Promise<string | null>>()
  let last: Promise<unknown> = Promise.resolve()

  const ask: AskKeystorePassword = async (file, opens) => {
    for (const text of known) if (await opens(text)) return text
    for (let tries = 1; tries <= mostTries; tries++) {
      const { askSecretOrNone } = await import('./ask.ts')
      const text = await askSecretOrNone(`Password of ${file} (Enter leaves it out): `)
      if (text === '') return null
      if (await opens(text)) {
        known.push(text)
        return text
      }
      output.warn(`That does not open ${file}.${tries < mostTries ? ' Try again.' : ''}`)
    }
    return null
  }

  return (file, opens) => {
    const before = last
    const answer = answers.get(file) ?? before.then(() => ask(file, opens))
    answers.set(file, answer)
    last = answer
    return answer
  }
}
