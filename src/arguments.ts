/*
 * Refuses what only a caller without types can pass to a function of the package. Without this, a
 * misspelled option would do nothing, and a value of another type would fail far inside.
 */
import { RootlingError } from './errors.ts'
import { nearest } from './nearest.ts'
import { printable, shortened } from './printable.ts'

/** What the value of an option may be. */
export interface OptionKind {
  readonly allows: (value: unknown) => boolean
  /** What is allowed, as it follows “must be”. */
  readonly what: string
  /** An example of a value, in JavaScript. */
  readonly example: string
  /** Whether the value is a secret, which no error shows. */
  readonly secret?: true
}

/** The kind of every option in an interface. */
export type OptionKinds<T> = { readonly [name in keyof Required<T>]: OptionKind }

export const text = (example: string): OptionKind => ({
  allows: (value) => typeof value === 'string',
  what: 'a string',
  example,
})
export const flag: OptionKind = {
  allows: (value) => typeof value === 'boolean',
  what: 'true or false',
  example: 'true',
}
export const callback = (example: string): OptionKind => ({
  allows: (value) => typeof value === 'function',
  what: 'a function',
  example,
})
export const object = (example: string): OptionKind => ({
  allows: isObject,
  what: 'an object',
  example,
})
export const array = (example: string): OptionKind => ({
  allows: Array.isArray,
  what: 'an array',
  example,
})
export const oneOf = (values: readonly string[]): OptionKind => ({
  allows: (value) => values.some((one) => one === value),
  what: `'${values.slice(0, -1).join("', '")}' or '${values.at(-1)}'`,
  example: `'${values[0]}'`,
})
/** What another function checks more closely. */
export const checkedLater = (example: string): OptionKind => ({
  allows: () => true,
  what: 'something',
  example,
})

/**
 * Throws `usage` where `options` is no object, has an option that there is not, or one whose value
 * is of another kind. `caller` is the name of the function.
 */
export function checkOptions(
  caller: string,
  options: unknown,
  kinds: Readonly<Record<string, OptionKind>>,
): void {
  const names = Object.keys(kinds)
  const all = names.length === 1 ? `The option is ${names[0]}` : `The options are ${listed(names)}`
  if (!isObject(options))
    throw new RootlingError(
      'usage',
      `The options of ${caller} must be an object, not ${shownValue(options)}.`,
      { hint: all },
    )
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined || Object.hasOwn(kinds, name)) continue
    const meant = nearest(name, names)
    throw new RootlingError(
      'usage',
      `${caller} has no option ${printable(shortened(name, longestShown))}.`,
      { hint: meant === null ? all : `Did you mean ${meant}?` },
    )
  }
  for (const [name, { allows, what, example, secret }] of Object.entries(kinds)) {
    const value = options[name]
    if (value === undefined || allows(value)) continue
    const given = secret ? `of the type ${typeof value}` : shownValue(value)
    throw new RootlingError('usage', `${name} must be ${what}, not ${given}.`, {
      hint: `${name}: ${example}`,
    })
  }
}

/**
 * Returns one name or several as a list. Throws `usage` for what is no string and no array of them;
 * `hint` is a call that is right.
 */
export function namesOf(names: unknown, hint: string): readonly string[] {
  if (typeof names === 'string') return [names]
  const sentence = 'names must be a string or an array of strings'
  if (!Array.isArray(names))
    throw new RootlingError('usage', `${sentence}, not ${shownValue(names)}.`, { hint })
  // A hole of an array is undefined here, too.
  for (const [index, name] of names.entries())
    if (typeof name !== 'string')
      throw new RootlingError(
        'usage',
        `names[${index}] must be a string, not ${shownValue(name)}.`,
        {
          hint,
        },
      )
  return names as readonly string[]
}

/** Returns the names as `namesOf` does. Throws `usage` for an empty list, too. */
export function someNamesOf(names: unknown, hint: string): readonly string[] {
  const list = namesOf(names, hint)
  if (list.length > 0) return list
  throw new RootlingError('usage', 'The list of names is empty.', { hint })
}

const longestShown = 60

/** Returns a value as it is written in JavaScript, or what it is where that could be long. */
export function shownValue(value: unknown): string {
  if (typeof value === 'string') return `'${printable(shortened(value, longestShown))}'`
  if (Array.isArray(value)) return 'an array'
  if (typeof value === 'object' && value !== null) return 'an object'
  return typeof value === 'function' || typeof value === 'symbol'
    ? `a ${typeof value}`
    : String(value)
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const listed = (words: readonly string[]): string =>
  `${words.slice(0, -1).join(', ')} and ${words.at(-1)}`
