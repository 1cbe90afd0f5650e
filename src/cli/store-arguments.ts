import { storeKinds, type StoreKind } from '../../platform/trust-store.ts'
import { RootlingError } from '../errors.ts'
import type { StoreOptions } from '../trust/machine-stores.ts'

/** The options that every command which changes trust stores takes. */
export interface StoreArguments {
  readonly stores?: string | undefined
  readonly 'store-scope'?: 'user' | 'system' | undefined
  readonly 'dry-run'?: boolean | undefined
  readonly yes?: boolean | undefined
  readonly 'no-sudo'?: boolean | undefined
}

/** Returns the library's options for the options of a command. Throws `usage`. */
export function storeOptionsOf(args: StoreArguments): StoreOptions {
  return {
    kinds: args.stores === undefined ? undefined : parseKinds(args.stores),
    storeScope: args['store-scope'],
    dryRun: args['dry-run'],
    sudo: args['no-sudo'] === true ? 'forbidden' : 'allowed',
  }
}

function parseKinds(list: string): readonly StoreKind[] {
  const words = list.split(',').map((word) => word.trim())
  for (const word of words)
    if (!(storeKinds as readonly string[]).includes(word))
      throw new RootlingError('usage', `--stores ${list}: there is no kind of store "${word}".`, {
        hint: `--stores ${storeKinds.join(',')}`,
      })
  return storeKinds.filter((kind) => words.includes(kind))
}
