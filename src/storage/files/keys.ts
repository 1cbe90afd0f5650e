import type { StateDirectory } from '../../home/state-directory.ts'
import type { KeyReader } from '../storage.ts'
import { readScopeKey } from './scopes.ts'

/** The signing keys in a state directory. */
export const keysOf = (state: StateDirectory): KeyReader => ({
  read: (name, digest) => readScopeKey(state, name, digest),
})
