import { parseBoundedJson } from '../bounded-json.ts'

/** A JSON object of which nothing is known yet. */
export type JsonObject = Readonly<Record<string, unknown>>

export const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** The JSON object that a text holds; `null`: the text is anything else. */
export function parseObject(text: string): JsonObject | null {
  try {
    const value: unknown = parseBoundedJson(text)
    return isObject(value) ? value : null
  } catch {
    return null
  }
}
