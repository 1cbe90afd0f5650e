import {
  identityOfPem,
  type ClientCertificateStore,
  type ClientIdentity,
  type HeldIdentity,
} from '../../platform/client-store.ts'
import { ofThisMachine, type ClientStoreFinders } from '../../platform/client-stores.ts'
import { createMachine, type Machine } from '../../platform/machine.ts'
import { identityIn, withPrivatePkcs12 } from '../../platform/nss/pkcs12.ts'
import { readScopes } from '../authority/scope.ts'
import { RootlingError } from '../errors.ts'
import { readText } from '../files/read.ts'
import type { StateDirectory } from '../home/state-directory.ts'
import { readInventory } from '../storage/files/record.ts'
import { fingerprintOf } from '../x509/parsed-certificate.ts'
import { refuseCostlyPkcs12 } from '../x509/pkcs12-cost.ts'
import type { StoreChange, StoreOptions } from './machine-stores.ts'
import type { OutcomeDetails, StoreOutcome } from './stores.ts'
import type { TrustWorld } from './world.ts'

export interface ClientCertificateRequest {
  readonly action: 'install' | 'remove'
  readonly file: string
  /** The name by which the person gave the file, for sentences. */
  readonly shown: string
  /** The contents of the file: PKCS #12, or, when removing, also PEM certificates. */
  readonly contents: Buffer
  /**
   * Calls `open` with a password, and again with others while it throws WrongPassword; called only
   * when the file is PKCS #12.
   */
  readonly withPassword: <T>(open: (password: string) => Promise<T>) => Promise<T>
  /** The name under which NSS and Windows show the certificate; default: the name in the file. */
  readonly nickname?: string | undefined
}

export interface ClientCertificateChange extends StoreChange {
  /** SHA-256 of the certificate's DER, lower-case hex. */
  readonly fingerprint: string
}

/**
 * Installs a client certificate in the stores that the person's browsers read, or removes it from
 * them. Throws `usage`, `bad-key`, and, when there is no store, `store-failed`. A store that fails
 * does not throw: its outcome says `failed`.
 */
export async function changeClientCertificate(
  { env, interactive }: Pick<TrustWorld, 'env' | 'interactive'>,
  { dryRun = false }: Pick<StoreOptions, 'dryRun'>,
  request: ClientCertificateRequest,
  find = ofThisMachine,
): Promise<ClientCertificateChange> {
  const { action, contents, file, shown } = request
  const machine = await createMachine({ env, dryRun, interactive })
  const system = await find.system(machine)
  refuseNickname(request)
  const result = (
    { fingerprint }: ClientIdentity,
    outcomes: readonly StoreOutcome[],
  ): ClientCertificateChange => {
    return { fingerprint, outcomes, plannedCommands: machine.dryRun ? machine.planned : null }
  }
  const pem = identityOfPem(contents.toString('latin1'))
  if (pem !== null) {
    if (action === 'install')
      throw new RootlingError('usage', `${shown} is a PEM file, and browsers take PKCS #12.`, {
        hint: `openssl pkcs12 -export -in ${shown} -inkey KEY.pem -out client.p12, or rootling issue --pkcs12`,
      })
    const stores = system === null ? await requireNssStores(machine, find) : [system]
    return result(pem, await inEachStore<HeldIdentity, never>(stores, remover(pem, machine)))
  }
  // Before the password is asked for, and before any program derives a key.
  refuseCostlyPkcs12(contents, shown)
  if (system !== null) {
    const { readPkcs12Identity } = await import('../../platform/pkcs12-identity.ts')
    const { identity, password } = await request.withPassword(async (tried) => ({
      identity: await readPkcs12Identity(contents, tried, shown),
      password: tried,
    }))
    const act = actOf(request, identity, { file, password, shown }, machine)
    return result(identity, await inEachStore([system], act))
  }
  const stores = await requireNssStores(machine, find)
  return request.withPassword((password) =>
    withPrivatePkcs12(machine, { contents, password, shown }, async (pkcs12) => {
      const identity = await identityIn(machine, pkcs12)
      return result(identity, await inEachStore(stores, actOf(request, identity, pkcs12, machine)))
    }),
  )
}

/** A client certificate that this authority issued. */
interface IssuedClient {
  readonly identity: ClientIdentity
  /** Its file, if it still has one. */
  readonly certPath: string | null
}

/**
 * Removes every client certificate on record from the stores that the person's browsers read, with
 * its key and the issuers that came with it. Returns an outcome for each store that held one or that
 * failed. Those whose file is gone stay in the stores of macOS and Windows, which are asked by the
 * certificate itself.
 */
export async function removeIssuedClients(
  { state }: Pick<TrustWorld, 'state'>,
  machine: Machine,
  find = ofThisMachine,
): Promise<StoreOutcome[]> {
  const issued = await issuedClients(state)
  if (issued.length === 0) return []
  const outcomes: StoreOutcome[] = []
  const system = await find.system(machine)
  if (system !== null)
    for (const each of issued) {
      const held = await heldIdentity(each)
      if (held !== null) outcomes.push(...(await inEachStore([system], remover(held, machine))))
    }
  else {
    const stores = await find.nss(machine)
    for (const { identity } of issued)
      outcomes.push(...(await inEachStore(stores, remover(identity, machine))))
  }
  return distinct(outcomes.filter(({ outcome }) => !absences.has(outcome)))
}

const absences: ReadonlySet<string> = new Set(['was-absent', 'skipped'])

async function issuedClients(state: StateDirectory): Promise<IssuedClient[]> {
  const { certificates } = await readInventory(state, { onDamage: () => undefined })
  const clients = certificates.filter(({ purpose }) => purpose === 'client')
  if (clients.length === 0) return []
  const scopes = await readScopes(state)
  const issuers = scopes.map(({ intermediate }) => fingerprintOf(intermediate))
  return clients.map(({ fingerprint, certPath }) => ({
    identity: { fingerprint, issuers },
    certPath,
  }))
}

/** Reads the certificate from its file; `null`: the file is gone, or holds another by now. */
async function heldIdentity({ identity, certPath }: IssuedClient): Promise<HeldIdentity | null> {
  const text = certPath === null ? null : await readText(certPath).catch(() => null)
  const held = text === null ? null : identityOfPem(text)
  return held?.fingerprint === identity.fingerprint ? held : null
}

/** Leaves one outcome for each store, a failure before others. */
function distinct(outcomes: readonly StoreOutcome[]): StoreOutcome[] {
  const last = new Map<string, StoreOutcome>()
  for (const each of outcomes)
    if (last.get(each.store.id)?.outcome !== 'failed') last.set(each.store.id, each)
  return [...last.values()]
}

function refuseNickname({ nickname }: ClientCertificateRequest): void {
  if (process.platform !== 'darwin' || nickname === undefined) return
  throw new RootlingError('usage', 'macOS calls a certificate by its subject, not by --name.', {
    hint: 'Leave out --name',
  })
}

async function requireNssStores(machine: Machine, find: ClientStoreFinders) {
  const stores = await find.nss(machine)
  if (stores.length > 0) return stores
  throw new RootlingError(
    'store-failed',
    'No browser of the Chromium or Firefox family has a certificate database here.',
    { hint: 'Start the browser once, then run this again' },
  )
}

type Act<I extends ClientIdentity, F> = (
  store: ClientCertificateStore<I, F>,
) => Promise<OutcomeDetails>

function actOf<I extends ClientIdentity, F>(
  { action, nickname }: ClientCertificateRequest,
  identity: I,
  pkcs12: F,
  machine: Machine,
): Act<I, F> {
  return action === 'remove'
    ? remover(identity, machine)
    : installer(identity, pkcs12, nickname, machine)
}

function installer<I extends ClientIdentity, F>(
  identity: I,
  pkcs12: F,
  nickname: string | undefined,
  { dryRun }: Machine,
): Act<I, F> {
  return async (store) => {
    const wasThere = await store.has(identity)
    await store.install(pkcs12, identity, nickname)
    if (wasThere) return { outcome: 'already-installed' }
    if (dryRun) return { outcome: 'would-install' }
    if (await store.has(identity)) return { outcome: 'installed' }
    return { outcome: 'failed', reason: `${store.title} reported success, but it is not there.` }
  }
}

function remover<I extends ClientIdentity>(identity: I, { dryRun }: Machine) {
  return async <F>(store: ClientCertificateStore<I, F>): Promise<OutcomeDetails> => {
    if (!(await store.has(identity))) return { outcome: 'was-absent' }
    await store.remove(identity)
    if (dryRun) return { outcome: 'would-remove' }
    if (!(await store.has(identity))) return { outcome: 'removed' }
    return { outcome: 'failed', reason: `${store.title} reported success, but it is still there.` }
  }
}

/** Runs `act` on every store, also after one has failed, and returns one outcome for each. */
async function inEachStore<I extends ClientIdentity, F>(
  stores: readonly ClientCertificateStore<I, F>[],
  act: Act<I, F>,
): Promise<StoreOutcome[]> {
  const outcomes: StoreOutcome[] = []
  for (const store of stores) {
    const { id, kind, title } = store
    outcomes.push({ store: { id, kind, title }, anchor: null, ...(await attempt(store, act)) })
  }
  return outcomes
}

async function attempt<I extends ClientIdentity, F>(
  store: ClientCertificateStore<I, F>,
  act: Act<I, F>,
): Promise<OutcomeDetails> {
  try {
    const answer = await store.availability()
    if (answer.available) return await act(store)
    const { code, reason, hint } = answer
    const outcome = code === 'absent' ? 'skipped' : 'failed'
    return { outcome, reason, ...(hint === undefined ? {} : { hint }) }
  } catch (error) {
    if (!(error instanceof RootlingError)) throw error
    const { message: reason, hint } = error
    return { outcome: 'failed', reason, ...(hint === undefined ? {} : { hint }) }
  }
}
