import { statSync } from 'node:fs'
import { resolve } from 'node:path'
import { storeKinds, type StoreKind } from '../../platform/trust-store.ts'
import { RootlingError } from '../errors.ts'
import type { StoreOptions } from '../trust/machine-stores.ts'
import { quotedPath } from '../shell-word.ts'

/** The options that every command which changes trust stores takes. */
export interface StoreArguments {
  readonly stores?: string | undefined
  readonly 'store-scope'?: 'user' | 'system' | undefined
  readonly 'dry-run'?: boolean | undefined
  readonly yes?: boolean | undefined
  readonly 'no-sudo'?: boolean | undefined
  readonly 'java-storepass-file'?: string | undefined
}

/**
 * Returns the library's options for the options of a command; with `none`, `--stores none` stands
 * for no store. Throws `usage`, and `file-unreadable`
 * for the file of a password.
 */
export function storeOptionsOf(args: StoreArguments, { none = false } = {}): StoreOptions {
  return {
    kinds: args.stores === undefined ? undefined : parseKinds(args.stores, none),
    storeScope: args['store-scope'],
    dryRun: args['dry-run'],
    sudo: args['no-sudo'] === true ? 'forbidden' : 'allowed',
    javaPasswordFile: passwordFileOf(args),
  }
}

/** Returns the absolute path of the file, which keytool reads again, so it must be no pipe. */
function passwordFileOf({ 'java-storepass-file': file }: StoreArguments): string | undefined {
  if (file === undefined) return undefined
  const path = resolve(file)
  if (statSync(path, { throwIfNoEntry: false })?.isFile() === true) return path
  throw new RootlingError(
    'file-unreadable',
    `--java-storepass-file ${quotedPath(file)} is not a file.`,
    {
      hint: 'Write the password into a file that only you can read',
    },
  )
}

function parseKinds(list: string, none: boolean): readonly StoreKind[] {
  if (none && list.trim() === 'none') return []
  const words = list.split(',').map((word) => word.trim())
  for (const word of words)
    if (!(storeKinds as readonly string[]).includes(word))
      throw new RootlingError('usage', `--stores ${list}: there is no kind of store "${word}".`, {
        hint: `--stores ${storeKinds.join(',')}`,
      })
  return storeKinds.filter((kind) => words.includes(kind))
}
