import { shellWord } from './shell-word.ts'

/** What makes a `rootling` command work on the authority of this run. */
export interface Selected {
  /** The value of ROOTLING_HOME; absent or empty: it is not set. */
  readonly home?: string | undefined
  /** The value of `--ca`; absent: it was not given. */
  readonly authority?: string | undefined
}

/**
 * Completes every `rootling` command in a sentence for people with ROOTLING_HOME and `--ca` of this
 * run, where these are set. Without them, a pasted command would work on the default authority, and
 * `rootling ca forget` would delete that one. What a command names already stays as it is.
 */
export function completeCommands(
  text: string,
  { home = '', authority }: Selected,
  system: NodeJS.Platform = process.platform,
): string {
  // The shells of Windows take no variable before a command; in the same window it is still set.
  const isSet = home !== '' && system !== 'win32'
  const variable = isSet ? `ROOTLING_HOME=${shellWord(home)} ` : ''
  const option = authority === undefined ? '' : ` --ca ${shellWord(authority)}`
  return text.replace(
    system === 'win32' ? commandOf(quotedOnWindows) : commandOf(quoted),
    (found, before = variable, name?: string, ...more: unknown[]) => {
      if (name === undefined) return found
      const rest = text.slice((more[0] as number) + found.length)
      const named = / --ca[ =]/.test(rest.split(nextCommand)[0] ?? '')
      return `${before}${name}${named ? '' : option}`
    },
  )
}

/**
 * A command's name and the ROOTLING_HOME before it; or a word in quotes, which is left alone, since
 * it may be a path in which such words stand.
 */
const quoted = String.raw`(?:~/)?(?:\$'(?:[^'\\]|\\.)*'|'(?:[^']|'\\'')*')`
const quotedOnWindows = String.raw`"[^"]*"`
const commandOf = (quotes: string): RegExp =>
  new RegExp(
    String.raw`(?<![^\s=:(])(?:${quotes}|(ROOTLING_HOME=(?:${quotes}|[^\s'])+ )?` +
      String.raw`(rootling (?:(?:ca|daemon|acme|hosts|proxy|server) )?[a-z][a-z-]*))`,
    'g',
  )
const nextCommand = /[;&,)]|\brootling /
