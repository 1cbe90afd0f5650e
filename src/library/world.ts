import { statSync } from 'node:fs'
import { storeKinds } from '../../platform/trust-store.ts'
import { completeCommands } from '../complete-commands.ts'
import { RootlingError } from '../errors.ts'
import { isFullPath } from '../full-path.ts'
import { givenStateDirectory } from '../home/state-directory.ts'
import { quotedPath } from '../shell-word.ts'
import type { StoreOptions } from '../trust/machine-stores.ts'
import type { TrustWorld } from '../trust/world.ts'
import type { StoreSelection } from './options.ts'
import { systemClock, type StateOptions } from './state.ts'

/** Returns a world of trust stores in which nobody is asked, and no dialog opens. */
export async function silentWorld(options: StateOptions): Promise<TrustWorld> {
  return {
    state: await givenStateDirectory(options.home),
    env: process.env,
    now: options.now ?? systemClock,
    interactive: false,
    attendedCommand: 'rootling install',
    confirm: async () => false,
    report: () => undefined,
  }
}

/** Returns the selection as the rooms below take it. Throws `usage`, `file-unreadable`. */
export function storeOptionsOf(selection: StoreSelection): StoreOptions {
  const { stores, storeScope, javaPasswordFile } = selection
  for (const kind of stores ?? [])
    if (!storeKinds.includes(kind))
      throw new RootlingError('usage', `stores: there is no kind of store "${kind}".`, {
        hint: `stores: ['${storeKinds.join("', '")}']`,
      })
  if (javaPasswordFile !== undefined && !isFileAt(javaPasswordFile))
    throw new RootlingError(
      'file-unreadable',
      `javaPasswordFile: ${quotedPath(javaPasswordFile)} is not the absolute path of a file.`,
      { hint: 'Write the password into a file that only you can read' },
    )
  return { kinds: stores, storeScope, javaPasswordFile }
}

const isFileAt = (path: string): boolean =>
  isFullPath(path) &&
  !path.includes('\0') &&
  statSync(path, { throwIfNoEntry: false })?.isFile() === true

/** Completes the commands in a hint with the state directory that they are to work on. */
export const completerOf =
  ({ home = process.env['ROOTLING_HOME'] }: Pick<StateOptions, 'home'>) =>
  (text: string): string =>
    completeCommands(text, { home })

/**
 * Returns a copy of a value as JSON holds it, in which the commands in every `hint` and `remedy` are
 * complete.
 */
export function plain<T>(value: T, complete: (text: string) => string): T {
  const replace = (key: string, member: unknown): unknown =>
    (key === 'hint' || key === 'remedy') && typeof member === 'string' ? complete(member) : member
  return JSON.parse(JSON.stringify(value, replace)) as T
}
