/*
 * Whether a value from JSON is what a stored file should hold there.
 */

export const isText = (value: unknown): value is string => typeof value === 'string'

export const isDate = (value: unknown): boolean => isText(value) && !Number.isNaN(Date.parse(value))
