/*
 * The characters that text from outside must not bring to a terminal or a log: controls (Cc, with
 * newlines and the C1 controls), format characters (Cf, with bidirectional overrides and
 * zero-width characters), line and paragraph separators (Zl, Zp), letters that have no form (DI, and
 * the empty pattern of Braille) and spaces that are none of the keyboard's. They could move the
 * cursor, begin a line, hide text, reverse it, or make two names look alike. U+FE0F may
 * follow a picture, which it colours.
 */
const unprintable =
  /(?:(?!\ufe0f)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{DI}\u2800\u00a0\u1680\u2000-\u200a\u202f\u205f]|(?<!\p{ExtPict})\ufe0f)+/gu

// Most text is plain, and compiling the Unicode categories costs a command time.
const plain = /^[ -~]*$/
const plainLines = /^[\n -~]*$/

/** Returns a text as one harmless line: `instead` replaces each run of unprintable characters. */
export function printable(text: string, instead = '\uFFFD'): string {
  return plain.test(text) ? text : text.replace(unprintable, instead)
}

/** Cuts a text from outside after `most` UTF-16 code units; an ellipsis shows where. */
export const shortened = (text: string, most: number): string =>
  text.length > most ? `${text.slice(0, most)}…` : text

/**
 * Writes the unprintable characters of indented JSON as `\uXXXX`, so that the JSON keeps its
 * meaning. JSON.stringify itself escapes only the controls below U+0020.
 */
export function printableJson(json: string): string {
  if (plainLines.test(json)) return json
  return json
    .split('\n')
    .map((line) => (plain.test(line) ? line : line.replace(unprintable, escaped)))
    .join('\n')
}

function escaped(run: string): string {
  const units = run.split('')
  return units.map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`).join('')
}
