import { damagedLine } from '../../files/journal.ts'
import { isObject } from '../payload.ts'
import {
  isChallengeChange,
  isPackedAuthorization,
  type ChallengeChange,
  type PackedAuthorization,
} from './packed.ts'
import { kinds, type Kind, type Kinds } from './tables.ts'

/** A resource as it is from now on. */
export type Put = readonly [kind: Kind, resource: Kinds[Kind]]

/** A line of the journal. */
export type JournalLine =
  | Put
  /** Authorizations of one account, such as those of an order. */
  | readonly ['authorizations', accountId: string, packed: readonly PackedAuthorization[]]
  | readonly [kind: Kind, id: string, 'deleted']
  | readonly ['challenge', ...change: ChallengeChange]
  /** Puts that are in effect once the authority has the certificate on record. */
  | readonly ['prepared', serialNumber: string, puts: readonly Put[]]
  /** Whether it has; if not, the puts are dropped. */
  | readonly ['settled', serialNumber: string, recorded: boolean]

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
  const [kind, content, more]: unknown[] = value
  if (value.length === 2) return isPut(value)
  if (typeof content !== 'string') return false
  if (kind === 'challenge') return isChallengeChange(value.slice(1))
  if (kind === 'authorizations') return Array.isArray(more) && more.every(isPackedAuthorization)
  if (kind === 'prepared') return Array.isArray(more) && more.every(isPut)
  if (kind === 'settled') return typeof more === 'boolean'
  return kinds.includes(kind as Kind)
}

function isPut(value: unknown): value is Put {
  if (!Array.isArray(value) || value.length !== 2) return false
  const [kind, content]: unknown[] = value
  return kinds.includes(kind as Kind) && isObject(content) && hasMembers(kind as Kind, content)
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
      return (
        ['id', 'accountId'].every(isText) &&
        hasTexts(resource['identifier'], ['type', 'value']) &&
        isList('challenges') &&
        (resource['challenges'] as unknown[]).every((one) => hasTexts(one, ['id', 'type', 'token']))
      )
    case 'eabKey':
      return isText('id') && isText('key')
  }
}

const hasTexts = (value: unknown, names: readonly string[]): boolean =>
  isObject(value) && names.every((name) => typeof value[name] === 'string')
