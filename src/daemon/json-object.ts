import { parseBoundedJson } from '../bounded-json.ts'

/** A JSON object whose members are not checked yet. */
export type JsonObject = Readonly<Record<string, unknown>>

export const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Returns the JSON object that a text holds; `null` when the text holds anything else. */
export function parseObject(text: string): JsonObject | null {
  try {
    const value: unknown = parseBoundedJson(text)
    return isObject(value) ? value : null
  } catch {
    return null
  }
}
