import { scopeFor } from '../authority/coverage.ts'
import { scopesIn, type AnyScope } from '../authority/scope.ts'
import { openSigner } from '../authority/signer.ts'
import type { CertificateRecord } from '../storage/records.ts'
import type { Change, Storage } from '../storage/storage.ts'
import type { Signer } from '../x509/certificate.ts'
import { signLeaf, type Leaf, type LeafRequest } from './leaf.ts'

interface SignOptions {
  /**
   * Whether the record must survive a power cut; default `true`. It survives a kill of the process
   * in any case.
   */
  readonly durable?: boolean | undefined
  /**
   * Whether to record the certificate at all; default `true`. Without a record nobody can revoke
   * it, so it must end soon, and its key must not leave the memory of this process.
   */
  readonly recorded?: boolean | undefined
}

/** A certificate that is signed, and not on record yet: it must not leave this process. */
export interface PreparedLeaf {
  readonly leaf: Leaf
  readonly scope: AnyScope
  readonly recording: Recording
}

/** How a signed certificate comes on record. */
export interface Recording {
  readonly certificate: CertificateRecord
  /** The version of the scopes with which it was signed. */
  readonly scopesVersion: string
  /**
   * Records the certificate; `false`: the scopes have changed since it was signed. It outlives a kill of
   * the process, and a power cut unless `durable` is `false`. A store that shares its database with the
   * record does this itself, in its own transaction.
   */
  readonly write: (options?: { readonly durable?: boolean }) => Promise<boolean>
}

/** Issues many certificates, one soon after the other, from one process, and writes no files. */
export interface Issuer {
  scopes(): Promise<readonly AnyScope[]>
  /** Resolves when the certificate is recorded, if it is to be. Throws what `issue` throws. */
  sign(request: LeafRequest, options?: SignOptions): Promise<Leaf>
  /** Signs a certificate for the caller to record. Throws what `issue` throws. */
  prepare(request: LeafRequest): Promise<PreparedLeaf>
}

/**
 * Milliseconds after which scopes and keys are read again, to notice a key that others can read.
 */
const rereadAfter = 1_000

interface Opened {
  readonly version: string
  readonly until: number
  readonly scopes: readonly AnyScope[]
  readonly signers: Map<AnyScope, Promise<Signer>>
}

/**
 * Creates an issuer. It reads scopes and keys again when they have changed, and when they were read
 * more than a second ago.
 */
export function createIssuer(storage: Storage, now: () => Date): Issuer {
  const recordShared = createSharedRecord(storage)
  let last: Opened | null = null
  let reading: Promise<Opened> | null = null

  async function read(): Promise<Opened> {
    // The version is taken before the scopes are read, so that a change in between is noticed when a
    // certificate is recorded.
    const version = await storage.scopes.version()
    const until = performance.now() + rereadAfter
    return { version, until, scopes: await scopesIn(storage), signers: new Map() }
  }

  async function opened(): Promise<Opened> {
    if (last !== null && performance.now() < last.until && (await isCurrent(last))) return last
    reading ??= read().finally(() => (reading = null))
    return (last = await reading)
  }

  function signerOf({ signers }: Opened, scope: AnyScope): Promise<Signer> {
    const known = signers.get(scope)
    if (known !== undefined) return known
    const signer = openSigner(storage.keys, scope, now())
    signers.set(scope, signer)
    signer.catch(() => signers.delete(scope))
    return signer
  }

  const isCurrent = async ({ version }: Opened): Promise<boolean> =>
    version === (await storage.scopes.version())

  async function prepare(request: LeafRequest): Promise<PreparedLeaf & { signedWith: Opened }> {
    const current = await opened()
    const scope = scopeFor(current.scopes, request.identifiers)
    const leaf = await signLeaf(request, scope, await signerOf(current, scope), now())
    const certificate = { ...leaf.facts, certPath: null, keyPath: null }
    const { version } = current
    const write: Recording['write'] = ({ durable = true } = {}) =>
      recordShared({ certificate, durable, version })
    const recording = { certificate, scopesVersion: version, write }
    return { leaf, scope, recording, signedWith: current }
  }

  return {
    scopes: async () => (await opened()).scopes,
    async sign(request, { durable = true, recorded = true } = {}) {
      for (;;) {
        const { leaf, recording, signedWith } = await prepare(request)
        if (await (recorded ? recording.write({ durable }) : isCurrent(signedWith))) return leaf
      }
    },
    prepare,
  }
}

/** A certificate to be recorded, if the scopes still have the version with which it was signed. */
interface Signed {
  readonly certificate: CertificateRecord
  readonly durable: boolean
  readonly version: string
}

interface Waiting extends Signed {
  readonly resolve: (isRecorded: boolean) => void
  readonly reject: (error: unknown) => void
}

/**
 * Returns a function that records a certificate; `false`: the scopes have changed since it was
 * signed. Certificates that wait at the same time are recorded by one change, since each change
 * waits for the disk. All of them fail where it fails.
 */
function createSharedRecord(storage: Storage): (signed: Signed) => Promise<boolean> {
  let queue: Waiting[] = []
  let draining = false

  async function drain(): Promise<void> {
    draining = true
    while (queue.length > 0) {
      const batch = queue
      queue = []
      try {
        const recorded = await storage.change((change) => recordAll(change, batch))
        for (const one of batch) one.resolve(recorded.has(one))
      } catch (error) {
        for (const { reject } of batch) reject(error)
      }
    }
    draining = false
  }

  return (signed) =>
    new Promise((resolve, reject) => {
      queue.push({ ...signed, resolve, reject })
      if (!draining) void drain()
    })
}

async function recordAll(change: Change, batch: readonly Waiting[]): Promise<ReadonlySet<Waiting>> {
  const version = await change.scopes.version()
  const current = batch.filter((one) => one.version === version)
  const durable = current.some((one) => one.durable)
  if (current.length > 0)
    await change.issued(
      current.map(({ certificate }) => certificate),
      { durable },
    )
  return new Set(current)
}
