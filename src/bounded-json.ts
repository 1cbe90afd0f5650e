/** Levels of arrays and objects. No protocol that we speak nests deeper than six. */
const deepest = 32

/**
 * `JSON.parse` for text that strangers send. Throws a SyntaxError for text that is not JSON, and
 * for JSON that is nested deeper than 32 levels: code that goes down into such a value recursively
 * would overflow the stack. The caller bounds the length of the text before.
 *
 * @example parseBoundedJson('{"a":[1]}') // { a: [1] }
 */
export function parseBoundedJson(text: string): unknown {
  if (isDeep(text)) throw new SyntaxError(`The JSON is nested deeper than ${deepest} levels.`)
  return JSON.parse(text)
}

/** Counts brackets outside strings, once over the text whatever it holds. */
function isDeep(text: string): boolean {
  let depth = 0
  let inString = false
  for (let i = 0; i < text.length; i++) {
    const character = text[i]
    if (inString) {
      if (character === '\\') i++
      else if (character === '"') inString = false
    } else if (character === '"') inString = true
    else if (character === '[' || character === '{') {
      if (++depth > deepest) return true
    } else if (character === ']' || character === '}') depth--
  }
  return false
}
