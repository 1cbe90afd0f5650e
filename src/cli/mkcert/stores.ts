import { storeKinds, type StoreKind } from '../../../platform/trust-store.ts'
import { RootlingError } from '../../errors.ts'
import { exists } from '../../files/exists.ts'
import { openStores, withStoresLock } from '../../trust/machine-stores.ts'
import { rememberInstalled, rememberUninstalled } from '../../trust/remember.ts'
import {
  findInstalledAnchors,
  installAnchors,
  trustStatus,
  uninstallAnchors,
  type StoreOutcome,
} from '../../trust/stores.ts'
import type { Context } from '../context.ts'
import { trustWorld } from '../trust-world.ts'
import type { LocalCa } from './authority.ts'
import { quotedPath } from '../../shell-word.ts'

/** The words that mkcert uses for each kind of store, which scripts look for in its output. */
const titles: Record<StoreKind, string> = {
  system: 'the system trust store',
  nss: 'the Firefox and/or Chrome/Chromium trust store',
  java: "Java's trust store",
}
const installed: Record<StoreKind, string> = {
  system: '! ⚡️',
  nss: ' (requires browser restart)! 🦊',
  java: '! ☕️',
}

/**
 * Returns the kinds of store that `$TRUST_STORES` names: every kind when it is unset, none for
 * `none`. Throws `usage` for other words.
 */
export function selectedKinds(env: Context['env']): readonly StoreKind[] {
  const list = env['TRUST_STORES'] ?? ''
  if (list === '') return storeKinds
  const words = list.split(',').map((word) => word.trim())
  const known = new Set<string>([...storeKinds, 'none'])
  const unknown = words.find((word) => !known.has(word))
  if (unknown !== undefined)
    throw new RootlingError(
      'usage',
      `TRUST_STORES names "${unknown}", which is not a kind of store.`,
      {
        hint: `TRUST_STORES=${storeKinds.join(',')}, or none`,
      },
    )
  return storeKinds.filter((kind) => words.includes(kind))
}

/**
 * Installs the roots in every selected store; `false`: a store failed, and the reason was printed.
 */
export async function installInStores(ca: LocalCa, context: Context): Promise<boolean> {
  const kinds = selectedKinds(context.env)
  if (kinds.length === 0) return true
  const outcomes = await withStores(kinds, ca, context, installAnchors)
  const before = ca.scopes
  await rememberInstalled(context.state, {
    before,
    scopes: before,
    outcomes,
    kinds: named(context),
  })
  for (const kind of kinds) {
    const of = outcomes.filter(({ store }) => store.kind === kind)
    if (of.some(({ outcome }) => outcome === 'failed')) continue
    if (of.some(({ outcome }) => outcome === 'installed'))
      context.output.note(`The local CA is now installed in ${titles[kind]}${installed[kind]}`)
    else if (of.some(({ outcome }) => outcome === 'already-installed'))
      context.output.note(`The local CA is already installed in ${titles[kind]}! 👍`)
  }
  if (outcomes.every(({ outcome }) => outcome === 'skipped'))
    throw new RootlingError('not-trusted', 'There is no trust store to install the local CA in.')
  return reportFailures(outcomes, context)
}

/**
 * Removes the roots from every selected store; `false`: a store failed, and the reason was printed.
 */
export async function uninstallFromStores(ca: LocalCa, context: Context): Promise<boolean> {
  const kinds = selectedKinds(context.env)
  if (kinds.length === 0) return true
  if (ca.anchors.length === 0) {
    await mentionOthers(kinds, context)
    return true
  }
  const outcomes = await withStores(kinds, ca, context, uninstallAnchors)
  const well = reportFailures(outcomes, context)
  if (well && ca.scopes.length > 0)
    await rememberUninstalled(context.state, ca.scopes, named(context))
  if (well && kinds.includes('system'))
    context.output.note('The local CA is now uninstalled from the system trust store(s)! 👋')
  else if (well)
    for (const kind of kinds)
      context.output.note(`The local CA is now uninstalled from ${titles[kind]}(s)! 👋`)
  return well
}

/**
 * Tells the person which kinds of stores do not trust the CA. Called before a certificate is
 * issued.
 */
export async function noteUntrusted(ca: LocalCa, context: Context): Promise<void> {
  const { env, output } = context
  // Asking Java can take half a second, so Java is asked only when JAVA_HOME or TRUST_STORES is
  // set.
  const named = (env['JAVA_HOME'] ?? '') !== '' || (env['TRUST_STORES'] ?? '') !== ''
  const kinds = selectedKinds(env).filter((kind) => kind !== 'java' || named)
  if (kinds.length === 0) return
  // Nobody is asked for the password of a keystore only for this note.
  const world = trustWorld({ yes: true }, context)
  const { stores } = await openStores(world, { kinds }, ca.scopes)
  const outcomes = await trustStatus(stores, ca.anchors)
  const lacking = kinds.filter((kind) =>
    outcomes.some(
      ({ store, outcome }) =>
        store.kind === kind && (outcome === 'not-trusted' || outcome === 'failed'),
    ),
  )
  for (const kind of lacking) output.note(`Note: the local CA is not installed in ${titles[kind]}.`)
  if (lacking.length > 0)
    output.note('Run "rootling-mkcert -install" for certificates to be trusted automatically ⚠️')
}

/** Returns the kinds of store that are named; `undefined`: every kind. */
const named = ({ env }: Context): readonly StoreKind[] | undefined =>
  (env['TRUST_STORES'] ?? '') === '' ? undefined : selectedKinds(env)

async function withStores(
  kinds: readonly StoreKind[],
  { scopes, anchors }: LocalCa,
  context: Context,
  operation: typeof installAnchors,
): Promise<StoreOutcome[]> {
  const { stores } = await openStores(trustWorld({}, context), { kinds }, scopes)
  return withStoresLock(context.state, () => operation(stores, anchors))
}

function reportFailures(outcomes: readonly StoreOutcome[], { output }: Context): boolean {
  const failed = outcomes.filter(({ outcome }) => outcome === 'failed')
  for (const { store, reason = 'failed', hint } of failed) {
    output.note(`ERROR: ${store.title}: ${reason}`)
    if (hint !== undefined) output.note(`  → ${hint}`)
  }
  return failed.length === 0
}

/**
 * Tells the person that there is nothing to uninstall, and names the other Rootling roots that the
 * stores hold: one of them may belong to a CA whose directory is gone.
 */
async function mentionOthers(kinds: readonly StoreKind[], context: Context): Promise<void> {
  const { state, output } = context
  const why = (await exists(state.path)) ? 'holds no CA' : 'does not exist'
  output.note(`${quotedPath(state.path)} ${why}, so there is nothing to uninstall.`)
  const { stores } = await openStores(trustWorld({}, context), { kinds }, [])
  const others = await findInstalledAnchors(stores)
  if (others.length > 0)
    output.note(
      `Trusted here, of other authorities: ${others.map(({ name }) => name).join(', ')}. To remove them: rootling uninstall --all`,
    )
}
