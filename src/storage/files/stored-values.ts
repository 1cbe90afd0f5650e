/*
 * Each function says whether a value from JSON is what a stored file should hold in its place.
 */

export const isText = (value: unknown): value is string => typeof value === 'string'

export const isDate = (value: unknown): boolean => isText(value) && !Number.isNaN(Date.parse(value))

/**
 * Whether a scope can have this name: it has only lower-case letters, digits and hyphens, since it
 * is also the name of a directory.
 */
export const isScopeName = (name: string): boolean => /^[a-z0-9](?:[a-z0-9-]{0,62})$/.test(name)
