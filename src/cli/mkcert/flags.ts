/** The flags of mkcert, with the type of each value. */
const kinds = {
  install: 'boolean',
  uninstall: 'boolean',
  CAROOT: 'boolean',
  client: 'boolean',
  ecdsa: 'boolean',
  pkcs12: 'boolean',
  help: 'boolean',
  h: 'boolean',
  version: 'boolean',
  'cert-file': 'string',
  'key-file': 'string',
  'p12-file': 'string',
  csr: 'string',
} as const

type Kinds = typeof kinds
type FlagName = keyof Kinds

/** The `rootling` command that does what a flag of mkcert does, for those who type it there. */
export const commandInstead: Readonly<Record<FlagName, string>> = {
  install: 'rootling install',
  uninstall: 'rootling uninstall',
  CAROOT: 'rootling ca path',
  client: 'rootling issue --client NAME',
  ecdsa: 'rootling issue NAME',
  pkcs12: 'rootling issue --pkcs12 NAME',
  help: 'rootling --help',
  h: 'rootling --help',
  version: 'rootling --version',
  'cert-file': 'rootling issue --cert-file FILE NAME',
  'key-file': 'rootling issue --key-file FILE NAME',
  'p12-file': 'rootling issue --p12-file FILE NAME',
  csr: 'rootling issue --csr FILE',
}

/** The flags that were given. When a flag is given twice, the last one counts, as in Go. */
export type Flags = {
  readonly [N in FlagName]?: Kinds[N] extends 'boolean' ? boolean : string
}

export interface ParsedLine {
  readonly flags: Flags
  readonly names: readonly string[]
}

/**
 * The error for a line that Go's flag package refuses, with the message that Go prints. The exit
 * code is then 2.
 */
export class FlagError extends Error {}

/**
 * Reads a line as Go's flag package does: flags begin with one hyphen or two, a value follows as
 * `-flag=value` or `-flag value`, that of a boolean only behind `=`, and `--` ends the flags.
 * Unlike in Go, flags may also follow names; mkcert takes such flags for hosts. Throws `FlagError`.
 */
export function parseFlags(argv: readonly string[]): ParsedLine {
  const flags: Record<string, string | boolean> = {}
  const names: string[] = []
  const words = argv.values()
  for (const word of words) {
    if (word === '--') return { flags, names: [...names, ...words] }
    if (!word.startsWith('-') || word === '-') {
      names.push(word)
      continue
    }
    const [, name = '', value] = /^--?([^=]*)(?:=(.*))?$/s.exec(word) ?? []
    if (name === '' || name.startsWith('-')) throw new FlagError(`bad flag syntax: ${word}`)
    if (!isFlag(name)) throw new FlagError(`flag provided but not defined: -${name}`)
    flags[name] =
      kinds[name] === 'boolean' ? booleanOf(name, value) : (value ?? nextWord(name, words))
  }
  return { flags, names }
}

/** Whether mkcert has a flag of this name. */
export function isFlag(name: string): name is FlagName {
  return Object.hasOwn(kinds, name)
}

function nextWord(name: string, words: IterableIterator<string>): string {
  const next = words.next()
  if (next.done === true) throw new FlagError(`flag needs an argument: -${name}`)
  return next.value
}

/**
 * Returns the value of a boolean flag, in the spellings that Go's strconv.ParseBool accepts. Throws
 * `FlagError`.
 */
function booleanOf(name: string, value: string | undefined): boolean {
  if (value === undefined || /^(?:1|t|T|true|TRUE|True)$/.test(value)) return true
  if (/^(?:0|f|F|false|FALSE|False)$/.test(value)) return false
  throw new FlagError(`invalid boolean value "${value}" for -${name}: parse error`)
}
