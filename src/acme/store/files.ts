import type { Recording } from '../../certificates/issuer.ts'
import type { StateDirectory } from '../../home/state-directory.ts'
import { latestOrders, type AcmeStore, type Outcome, type Unit } from './contract.ts'
import type { Put } from './journal-line.ts'
import { createLeases, type Leases } from './leases.ts'
import { openNonces, type Nonces } from './nonces.ts'
import { openStore, type Store } from './store.ts'
import type { Kind, Kinds } from './tables.ts'

export interface FileStoreOptions {
  readonly state: StateDirectory
  readonly now: () => Date
  /** Whether the authority has a certificate of this serial number on record. */
  readonly isRecorded: (serialNumber: string) => Promise<boolean>
}

/**
 * Opens the store in `acme/` of a state directory, for this process alone. A unit reads the resources in
 * memory as they are at that moment, so that it conflicts with none: only a commit with `record` may, when
 * the authority has changed. Throws `corrupt-state` and `state-unwritable`.
 */
export async function openFileStore(options: FileStoreOptions): Promise<AcmeStore> {
  const { state, now, isRecorded } = options
  const [store, nonces] = await Promise.all([openStore(state, now), openNonces(state)])
  await settleAll(store, isRecorded)
  const parts: Parts = {
    store,
    nonces,
    leases: createLeases(),
    isRecorded,
    recording: new Map(),
    saved: async () => void (await Promise.all([store.saved(), nonces.saved()])),
  }
  return {
    open: () => Promise.resolve(openUnit(parts)),
    async read(_, nonce) {
      const unit = openUnit(parts)
      return (await unit.commit(nonce)) === 'done' ? unit : null
    },
    nonces,
    claimValidations: (at, until, limit) =>
      Promise.resolve(
        parts.leases.claim(store.validating(), (id) => store.get('account', id), {
          now: at,
          until,
          limit,
        }),
      ),
    eabKeys: () => Promise.resolve([...store.all('eabKey')]),
    close: async () => void (await Promise.all([store.close(), nonces.close()])),
  }
}

interface Parts {
  readonly store: Store
  readonly nonces: Nonces
  readonly leases: Leases
  readonly isRecorded: FileStoreOptions['isRecorded']
  /** The commits that are writing into the authority's record now, by the ID of their order. */
  readonly recording: Map<string, Promise<unknown>>
  /** Resolves when all is written. */
  readonly saved: () => Promise<void>
}

function openUnit(parts: Parts): Unit {
  const { store, nonces, leases, saved } = parts
  const puts = new Map<string, Put>()
  let recording: Recording | null = null
  let lease = (): void => undefined
  return {
    get<K extends Kind>(kind: K, id: string) {
      const put = puts.size === 0 ? undefined : puts.get(`${kind} ${id}`)
      return put === undefined ? store.get(kind, id) : (put[1] as Kinds[K])
    },
    put: (kind, resource) => void puts.set(`${kind} ${resource.id}`, [kind, resource]),
    accountByThumbprint: (thumbprint) => store.accountByThumbprint(thumbprint),
    certificateBySerialNumber: (number) => store.certificateBySerialNumber(number),
    ordersOf: (accountId, before) => latestOrders(store.ordersOf(accountId), before),
    unfinished: store.unfinished,
    lease: (...of) => (lease = () => leases.take(...of)),
    record: (signed) => (recording = signed),
    async commit(nonce) {
      if (recording !== null) return commitRecorded(parts, [...puts.values()], recording, nonce)
      if (nonce !== null && !nonces.use(nonce)) return 'replayed'
      if (puts.size > 0) store.putAll([...puts.values()])
      lease()
      await saved()
      return 'done'
    },
  }
}

/** Commits puts in one step with the authority's record. */
async function commitRecorded(
  parts: Parts,
  puts: readonly Put[],
  recording: Recording,
  nonce: string | null,
): Promise<Outcome> {
  const { nonces } = parts
  const orderId = puts.find(([kind]) => kind === 'order')?.[1].id ?? ''
  const other = parts.recording.get(orderId)
  if (other !== undefined) {
    await other.catch(() => undefined)
    return 'conflict'
  }
  if (nonce !== null && !nonces.use(nonce)) return 'replayed'
  const work = writeRecorded(parts, puts, recording, () => {
    if (nonce !== null) nonces.release(nonce)
  })
  parts.recording.set(orderId, work)
  try {
    return (await work) ? 'done' : 'conflict'
  } finally {
    parts.recording.delete(orderId)
  }
}

/**
 * Writes puts to the journal, the certificate into the record, and then to the journal that the puts are
 * in effect. Should the process be killed in between, the record decides at the next start. Calls
 * `release` where nothing took effect.
 */
async function writeRecorded(
  { store, saved, isRecorded }: Parts,
  puts: readonly Put[],
  { certificate: { serialNumber }, write }: Recording,
  release: () => void,
): Promise<boolean> {
  store.prepare(serialNumber, puts)
  let recorded: boolean
  try {
    await saved()
    recorded = await write()
  } catch (error) {
    // Where the record does not say it now, it does at the next start.
    const found = await isRecorded(serialNumber).catch(() => null)
    if (found !== null) store.settle(serialNumber, found)
    if (found === false) release()
    throw error
  }
  store.settle(serialNumber, recorded)
  if (!recorded) release()
  await saved()
  return recorded
}

/**
 * Settles what a killed server had prepared: what the record has is put into effect, and the rest is
 * forgotten. Earlier versions wrote the certificate itself
 * before it was on record.
 */
async function settleAll(store: Store, isRecorded: FileStoreOptions['isRecorded']): Promise<void> {
  for (const serialNumber of store.prepared())
    store.settle(serialNumber, await isRecorded(serialNumber))
  for (const certificate of store.all('certificate')) {
    const order = store.get('order', certificate.orderId)
    if (order === undefined || order.certificateId !== undefined) continue
    if (await isRecorded(certificate.serialNumber))
      store.putAll([['order', { ...order, certificateId: certificate.id }]])
    else store.delete('certificate', certificate.id)
  }
}
