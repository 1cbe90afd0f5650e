/** What `yamlLines` can write. */
export type YamlValue = string | readonly YamlValue[] | { readonly [key: string]: YamlValue }

/**
 * Writes a value as lines of YAML, in block style. A string that ends with a line break becomes a
 * literal block, which keeps PEM readable.
 */
export function yamlLines(value: YamlValue): string[] {
  const short = onOneLine(value)
  if (short !== null) return [short]
  if (isList(value)) return value.flatMap((item) => nested('- ', '  ', yamlLines(item)))
  return Object.entries(value).flatMap(([key, member]) => {
    const name = `${scalar(key)}:`
    if (typeof member === 'string' && member.endsWith('\n'))
      return [`${name} |`, ...member.trimEnd().split('\n').map(indented)]
    const one = onOneLine(member)
    return one === null ? [name, ...yamlLines(member).map(indented)] : [`${name} ${one}`]
  })
}

/** Writes a string, or an empty list or object; `null`: the value takes lines of its own. */
function onOneLine(value: YamlValue): string | null {
  if (typeof value === 'string') return scalar(value)
  if (Object.keys(value).length > 0) return null
  return isList(value) ? '[]' : '{}'
}

const isList = (value: YamlValue): value is readonly YamlValue[] => Array.isArray(value)

const indented = (line: string): string => `  ${line}`

const nested = (first: string, others: string, lines: readonly string[]): string[] =>
  lines.map((line, index) => `${index === 0 ? first : others}${line}`)

/**
 * Writes a string on one line. It is quoted as in JSON, which is YAML too, unless it can be nothing
 * but a string: YAML 1.1 takes `no` for a boolean, and digits for a number.
 */
function scalar(text: string): string {
  const isPlain = /^[a-z][a-z0-9./-]*$/i.test(text)
  const isWord = /^(?:true|false|null|yes|no|on|off|y|n)$/i.test(text)
  return isPlain && !isWord ? text : JSON.stringify(text)
}
