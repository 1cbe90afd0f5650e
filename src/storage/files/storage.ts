import type { StateDirectory } from '../../home/state-directory.ts'
import type { Change, ScopeReader, Storage } from '../storage.ts'
import { certificatesOf } from './certificates.ts'
import { nextCrlNumber } from './crl-number.ts'
import { keysOf } from './keys.ts'
import { recordForgotten, recordIssued, recordReleased, recordRevoked } from './record.ts'
import {
  createScope,
  deleteScope,
  readScope,
  readStoredRootCrl,
  readStoredRootOcsp,
  rotationParts,
  scopeNames,
  stampOfScopes,
  switchScope,
} from './scopes.ts'
import { exclusively } from './unfinished-writes.ts'

/**
 * Returns what a state directory holds, as a storage. Where the work of a change throws, the calls
 * that had resolved stand.
 */
export function fileStorage(state: StateDirectory): Storage {
  const scopes: ScopeReader = {
    version: () => stampOfScopes(state),
    names: () => scopeNames(state),
    read: (name, part) => readScope(state, name, part),
    parts: () => rotationParts(state),
    rootCrl: (name) => readStoredRootCrl(state, name),
    rootOcsp: (name) => readStoredRootOcsp(state, name),
  }
  const readers = { scopes, certificates: certificatesOf(state), keys: keysOf(state) }
  const change: Change = {
    ...readers,
    createScope: (scope, key, part) =>
      createScope(state, { ...scope, intermediateKey: key }, scope.scope.name + (part ?? '')),
    switchScope: (name) => switchScope(state, name),
    deleteScope: (name, part) => deleteScope(state, name + (part ?? '')),
    issued: (certificates, options) => recordIssued(state, certificates, options),
    revoked: (revocation) => recordRevoked(state, revocation),
    released: (serialNumber, at) => recordReleased(state, serialNumber, at),
    forgotten: (serialNumbers, at) => recordForgotten(state, serialNumbers, at),
    nextCrlNumber: (scope, now) => nextCrlNumber(state, scope, now),
  }
  return { place: state.path, ...readers, change: (work) => exclusively(state, () => work(change)) }
}
