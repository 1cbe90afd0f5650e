/** The most levels of arrays and objects. No protocol that Rootling speaks needs more than six. */
const deepest = 32

/**
 * Parses JSON that strangers send, as `JSON.parse` does. Throws a SyntaxError for text that is not
 * JSON, and for JSON that is nested deeper than 32 levels: code that goes down into such a value
 * recursively would overflow the stack. The caller must have limited the length of the text.
 *
 * @example parseBoundedJson('{"a":[1]}') // { a: [1] }
 */
export function parseBoundedJson(text: string): unknown {
  if (isDeep(text)) throw new SyntaxError(`The JSON is nested deeper than ${deepest} levels.`)
  return JSON.parse(text)
}

/** Whether brackets outside strings nest too deep. Reads the text once, whatever it holds. */
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
