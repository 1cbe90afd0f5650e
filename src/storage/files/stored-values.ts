/*
 * Each function says whether a value from JSON is what a stored file should hold in its place.
 */

export const isText = (value: unknown): value is string => typeof value === 'string'

export const isDate = (value: unknown): boolean => isText(value) && !Number.isNaN(Date.parse(value))
