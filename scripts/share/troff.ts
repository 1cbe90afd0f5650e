/** Text for man(7), which groff and mandoc read. */

const escapes: Readonly<Record<string, string>> = {
  '\\': '\\e',
  '-': '\\-',
  "'": '\\(aq',
  '"': '\\(dq',
  '`': '\\(ga',
  '^': '\\(ha',
  '~': '\\(ti',
}

/** Returns a text that is printed as it is, whatever is in it. */
export const plain = (text: string): string =>
  text.replaceAll(
    /[\\\-'"`^~]|[^\0-\x7f]/gu,
    (letter) =>
      escapes[letter] ??
      `\\[u${(letter.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}]`,
  )

export const bold = (text: string): string => `\\fB${plain(text)}\\fP`

export const italic = (text: string): string => `\\fI${plain(text)}\\fP`

/** Returns prose, in which options and what is in backquotes are bold. */
export const prose = (text: string): string =>
  text
    .split(/(`[^`]+`|(?<![\w-])--?[a-zA-Z][a-zA-Z0-9-]*)/)
    .map((part, i) => (i % 2 === 1 ? bold(part.replaceAll('`', '')) : plain(part)))
    .join('')

/** Returns escaped text as lines of a source, none of which is taken for a request. */
export function lines(text: string): string[] {
  const found: string[] = []
  for (const word of text.split(' ')) {
    const last = found.at(-1)
    if (last !== undefined && last.length + word.length < 78)
      found[found.length - 1] = `${last} ${word}`
    else found.push(word)
  }
  return found.map((line) => (/^[.']/.test(line) ? `\\&${line}` : line))
}

/** A paragraph with a term that stands before it. */
export const item = (term: string, text: string): string[] => ['.TP', term, ...lines(text)]

export const example = (commands: readonly string[]): string[] => [
  '.EX',
  ...commands.map((command) => plain(command)),
  '.EE',
]
