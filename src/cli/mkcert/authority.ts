import { chmod, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { createAnchor } from '../../../platform/pem.ts'
import type { TrustAnchor } from '../../../platform/trust-store.ts'
import { adoptRoot, readOwnRoot, readRoot, readRootFiles } from '../../authority/adopt.ts'
import { ensureAuthority } from '../../authority/create.ts'
import {
  isTrusted,
  readScopesInRotation,
  readTrustedScopes,
  type Scope,
} from '../../authority/scope.ts'
import { RootlingError } from '../../errors.ts'
import { exists } from '../../files/exists.ts'
import { refuseSharedDirectory } from '../../files/shared-directory.ts'
import { anchorOf } from '../../trust/machine-stores.ts'
import type { Context } from '../context.ts'
import { mkcertKeyPath, rootCopyPath, updateRootCopy } from './root-copy.ts'
import { quotedPath } from '../../shell-word.ts'

/** The CA that is kept in `$CAROOT`. */
export interface LocalCa {
  /** The scopes of the CA; empty: the directory holds only a root without its key, or no CA. */
  readonly scopes: readonly Scope[]
  /** The roots to trust. */
  readonly anchors: readonly TrustAnchor[]
}

/**
 * Returns the CA in the state directory. When there is none but mkcert's root and key are there,
 * adopts mkcert's CA. When only mkcert's root is there, returns a CA that can be trusted but sign
 * nothing. Otherwise creates a CA.
 */
export async function openLocalCa(context: Context): Promise<LocalCa> {
  const { state, output, now } = context
  if ((await readTrustedScopes(state)).length === 0 && (await exists(rootCopyPath(state)))) {
    if (await exists(mkcertKeyPath(state))) await adoptMkcert(context)
    // The scopes are read again, because another process may just have created a CA and its copy of
    // the root.
    else if ((await readTrustedScopes(state)).length === 0)
      return { scopes: [], ...(await rootAlone(context)) }
  }
  if ((await readTrustedScopes(state)).length === 0) {
    await closeToOthers(context)
    const { created } = await ensureAuthority(state, now())
    if (created) output.note('Created a new local CA 💥')
    if (created) await mentionMkcert(context)
  }
  const scopes = await readTrustedScopes(state)
  const stale = await updateRootCopy(state, scopes)
  if (stale !== null) output.warn(stale)
  return { scopes, anchors: scopes.map(anchorOf) }
}

/**
 * Returns the CA whose roots can be removed from the stores. Unlike `openLocalCa`, creates and
 * adopts nothing.
 */
export async function findLocalCa(context: Context): Promise<LocalCa> {
  const { state } = context
  const rotated = (await readScopesInRotation(state)).filter(isTrusted)
  const scopes = [...(await readTrustedScopes(state)), ...rotated]
  if (scopes.length === 0 && (await exists(rootCopyPath(state))))
    return { scopes, ...(await rootAlone(context)) }
  return { scopes, anchors: scopes.map(anchorOf) }
}

async function rootAlone({ state, now }: Context): Promise<Pick<LocalCa, 'anchors'>> {
  const path = rootCopyPath(state)
  const root = readRoot(await readOwnRoot(path, state.owner), path, now())
  return { anchors: [createAnchor(root.raw)] }
}

/**
 * Adopts the CA of mkcert that is in the state directory. Throws `loose-key` when other users could
 * have read the key or replaced the files.
 */
async function adoptMkcert({ state, output, now }: Context): Promise<void> {
  await refuseSharedDirectory(state)
  const files = await readRootFiles(state, rootCopyPath(state), mkcertKeyPath(state))
  const { scope, created } = await adoptRoot(state, files, now())
  if (created && scope.constraints === null)
    output.warn(
      `This CA of mkcert may sign any name: anyone who steals its key can impersonate any site to you. To replace it without a gap: rootling ca rotate`,
    )
}

/**
 * Removes the write access of other users to the state directory: tools create `$CAROOT` before
 * they call mkcert, some with a umask that lets the group write. Called only for a directory that
 * holds no CA yet.
 */
async function closeToOthers({ state, output }: Context): Promise<void> {
  const info = await stat(state.path).catch(() => null)
  if (info === null || info.uid !== process.geteuid?.() || (info.mode & 0o022) === 0) return
  await chmod(state.path, info.mode & 0o755)
  output.note(
    `Others could write to ${quotedPath(state.path)}, where the CA is kept; now only you can.`,
  )
}

/**
 * Tells the person about a CA of mkcert in another directory. Called only when a new CA is created.
 */
async function mentionMkcert({ env, state, output }: Context): Promise<void> {
  const home = env['HOME'] ?? ''
  const data = env['XDG_DATA_HOME'] || join(home, '.local/share')
  const directory = join(data, 'mkcert')
  if (directory === state.path || !(await exists(join(directory, 'rootCA-key.pem')))) return
  output.note(
    `The CA of mkcert in ${quotedPath(directory)} was left alone. To go on with that one: CAROOT=${quotedPath(directory)}`,
  )
}

/** Throws `no-authority` when the CA has no key to sign with. */
export function refuseKeyless({ scopes }: LocalCa, { state }: Context): void {
  if (scopes.length > 0) return
  throw new RootlingError(
    'no-authority',
    `${quotedPath(mkcertKeyPath(state))} is not there: with the root alone nothing can be signed.`,
    { hint: `-install trusts it; to make a new CA, remove ${rootCopyPath(state)}` },
  )
}
