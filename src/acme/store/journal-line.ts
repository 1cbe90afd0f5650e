import { damagedLine } from '../../files/journal.ts'
import { isObject } from '../payload.ts'
import { kinds, type Kind, type Kinds } from './tables.ts'

/** A line of the journal: a resource as it is from now on, or the ID of one that was deleted. */
export type JournalLine =
  | readonly [kind: Kind, resource: Kinds[Kind]]
  | readonly [kind: Kind, id: string, 'deleted']

/** Reads a line of the journal at `path`; lines count from 1. Throws `corrupt-state`. */
export function parseLine(line: string, path: string, number: number): JournalLine {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch (error) {
    throw damagedLine(path, number, error)
  }
  if (isJournalLine(value)) return value
  throw damagedLine(path, number)
}

function isJournalLine(value: unknown): value is JournalLine {
  if (!Array.isArray(value)) return false
  const [kind, content]: unknown[] = value
  if (!kinds.includes(kind as Kind)) return false
  if (value.length !== 2) return typeof content === 'string'
  return isObject(content) && hasMembers(kind as Kind, content)
}

/** Whether a resource has what the server reads before a client asks for the resource. */
function hasMembers(kind: Kind, resource: Readonly<Record<string, unknown>>): boolean {
  const isText = (name: string): boolean => typeof resource[name] === 'string'
  const isList = (name: string): boolean => Array.isArray(resource[name])
  switch (kind) {
    case 'account':
      return isText('id') && isText('thumbprint')
    case 'order':
      return ['id', 'accountId'].every(isText) && ['identifiers', 'authorizationIds'].every(isList)
    case 'certificate':
      return ['id', 'serialNumber', 'orderId', 'issuers'].every(isText)
    case 'authorization':
      return isText('id') && isList('challenges')
    case 'eabKey':
      return isText('id') && isText('key')
  }
}
