import { chmod, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { createAnchor } from '../../../platform/pem.ts'
import type { TrustAnchor } from '../../../platform/trust-store.ts'
import { adoptRoot, readRoot } from '../../authority/adopt.ts'
import { ensureAuthority } from '../../authority/create.ts'
import { readScopes, readScopesInRotation, type Scope } from '../../authority/scope.ts'
import { RootlingError } from '../../errors.ts'
import { exists } from '../../files/exists.ts'
import { anchorOf } from '../../trust/machine-stores.ts'
import type { Context } from '../context.ts'
import { readInput, readInputBytes } from '../read-input.ts'
import { mkcertKeyPath, rootCopyPath, updateRootCopy } from './root-copy.ts'

/** What `$CAROOT` holds. */
export interface LocalCa {
  /** None: the root alone is here, without its key. */
  readonly scopes: readonly Scope[]
  /** The roots to trust. */
  readonly anchors: readonly TrustAnchor[]
}

/**
 * The CA in the state directory. Where there is none, mkcert's is adopted if its root and key are
 * there; its root alone can only be trusted; otherwise a CA is made.
 */
export async function openLocalCa(context: Context): Promise<LocalCa> {
  const { state, output, now } = context
  if ((await readScopes(state)).length === 0 && (await exists(rootCopyPath(state)))) {
    if (await exists(mkcertKeyPath(state))) await adoptMkcert(context)
    // Asked again: another process may have made a CA, and its copy of the root, just now.
    else if ((await readScopes(state)).length === 0)
      return { scopes: [], ...(await rootAlone(context)) }
  }
  if ((await readScopes(state)).length === 0) {
    await closeToOthers(context)
    const { created } = await ensureAuthority(state, now())
    if (created) output.note('Created a new local CA 💥')
    if (created) await mentionMkcert(context)
  }
  const scopes = await readScopes(state)
  const stale = await updateRootCopy(state, scopes)
  if (stale !== null) output.warn(stale)
  return { scopes, anchors: scopes.map(anchorOf) }
}

/** Like `openLocalCa`, but makes and adopts nothing: what can be taken out of the stores. */
export async function findLocalCa(context: Context): Promise<LocalCa> {
  const { state } = context
  const scopes = [...(await readScopes(state)), ...(await readScopesInRotation(state))]
  if (scopes.length === 0 && (await exists(rootCopyPath(state))))
    return { scopes, ...(await rootAlone(context)) }
  return { scopes, anchors: scopes.map(anchorOf) }
}

async function rootAlone({ state, now }: Context): Promise<Pick<LocalCa, 'anchors'>> {
  const path = rootCopyPath(state)
  const root = readRoot(await readInputBytes(path), path, now())
  return { anchors: [createAnchor(root.raw)] }
}

async function adoptMkcert({ state, output, now }: Context): Promise<void> {
  const certificateFile = rootCopyPath(state)
  const keyFile = mkcertKeyPath(state)
  const certificate = await readInputBytes(certificateFile)
  const key = await readInput(keyFile)
  const request = { certificate, certificateFile, key, keyFile }
  const { scope, created } = await adoptRoot(state, request, now())
  if (created && scope.constraints === null)
    output.warn(
      `This CA of mkcert may sign any name: anyone who steals its key can impersonate any site to you. To replace it without a gap: ROOTLING_HOME=${state.path} rootling ca rotate`,
    )
}

/**
 * Takes write access from others: tools make `$CAROOT` before they call mkcert, some with a umask
 * that lets the group write. Only for a directory in which nothing is trusted yet.
 */
async function closeToOthers({ state, output }: Context): Promise<void> {
  const info = await stat(state.path).catch(() => null)
  if (info === null || info.uid !== process.geteuid?.() || (info.mode & 0o022) === 0) return
  await chmod(state.path, info.mode & 0o755)
  output.note(`Others could write to ${state.path}, where the CA is kept; now only you can.`)
}

/** Mentions a CA of mkcert's in another directory, once, when a new CA is made. */
async function mentionMkcert({ env, state, output }: Context): Promise<void> {
  const home = env['HOME'] ?? ''
  const data = env['XDG_DATA_HOME'] || join(home, '.local/share')
  const directory = join(data, 'mkcert')
  if (directory === state.path || !(await exists(join(directory, 'rootCA-key.pem')))) return
  output.note(
    `The CA of mkcert in ${directory} was left alone. To go on with that one: CAROOT=${directory}`,
  )
}

/** Throws `no-authority` without a key to sign with. */
export function refuseKeyless({ scopes }: LocalCa, { state }: Context): void {
  if (scopes.length > 0) return
  throw new RootlingError(
    'no-authority',
    `${mkcertKeyPath(state)} is not there: with the root alone nothing can be signed.`,
    { hint: `-install trusts it; to make a new CA, remove ${rootCopyPath(state)}` },
  )
}
