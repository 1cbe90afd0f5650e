import { scopeFor } from '../authority/coverage.ts'
import { readScopes, type Scope } from '../authority/scope.ts'
import { openSigner } from '../authority/signer.ts'
import type { StateDirectory } from '../home/state-directory.ts'
import { exclusively } from '../storage/files/unfinished-writes.ts'
import { recordIssued } from '../storage/files/record.ts'
import { stampOfScopes } from '../storage/files/scopes.ts'
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
  readonly scope: Scope
  /**
   * Records the certificate; `false`: the scopes have changed since it was signed. It outlives a kill of
   * the process, and a power cut unless `durable` is `false`.
   */
  readonly record: (options?: { readonly durable?: boolean }) => Promise<boolean>
}

/** Issues many certificates, one soon after the other, from one process, and writes no files. */
export interface Issuer {
  scopes(): Promise<readonly Scope[]>
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
  readonly stamp: string
  readonly until: number
  readonly scopes: readonly Scope[]
  readonly signers: Map<Scope, Promise<Signer>>
}

/**
 * Creates an issuer. It reads scopes and keys again when they have changed, and when they were read
 * more than a second ago.
 */
export function createIssuer(state: StateDirectory, now: () => Date): Issuer {
  const underLock = createSharedLock<boolean>(state)
  let last: Opened | null = null
  let reading: Promise<Opened> | null = null

  async function read(): Promise<Opened> {
    // The stamp is taken before the scopes are read, so that a change in between is noticed when a
    // certificate is recorded.
    const stamp = await stampOfScopes(state)
    const until = performance.now() + rereadAfter
    return { stamp, until, scopes: await readScopes(state), signers: new Map() }
  }

  async function opened(): Promise<Opened> {
    if (last !== null && performance.now() < last.until && (await isCurrent(last))) return last
    reading ??= read().finally(() => (reading = null))
    return (last = await reading)
  }

  function signerOf({ signers }: Opened, scope: Scope): Promise<Signer> {
    const known = signers.get(scope)
    if (known !== undefined) return known
    const signer = openSigner(state, scope, now())
    signers.set(scope, signer)
    signer.catch(() => signers.delete(scope))
    return signer
  }

  const isCurrent = async ({ stamp }: Opened): Promise<boolean> =>
    stamp === (await stampOfScopes(state))

  async function prepare(request: LeafRequest): Promise<PreparedLeaf & { opened: Opened }> {
    const current = await opened()
    const scope = scopeFor(current.scopes, request.identifiers)
    const leaf = signLeaf(request, scope, await signerOf(current, scope), now())
    const line = { ...leaf.facts, certPath: null, keyPath: null }
    const record = ({ durable = true } = {}): Promise<boolean> =>
      underLock(async () => {
        if (!(await isCurrent(current))) return false
        await recordIssued(state, line, { durable })
        return true
      })
    return { leaf, scope, record, opened: current }
  }

  return {
    scopes: async () => (await opened()).scopes,
    async sign(request, { durable = true, recorded = true } = {}) {
      for (;;) {
        const { leaf, record, opened } = await prepare(request)
        if (await (recorded ? record({ durable }) : isCurrent(opened))) return leaf
      }
    },
    prepare,
  }
}

/**
 * Returns a function that runs work under the lock. Calls that wait at the same time share one
 * acquisition of the lock, since waiting for it means polling. All of them fail where it cannot be
 * acquired.
 */
function createSharedLock<T>(state: StateDirectory): (work: () => Promise<T>) => Promise<T> {
  let queue: { run: () => Promise<void>; reject: (error: unknown) => void }[] = []
  let draining = false

  async function drain(): Promise<void> {
    draining = true
    while (queue.length > 0) {
      const batch = queue
      queue = []
      try {
        await exclusively(state, async () => {
          for (const { run } of batch) await run()
        })
      } catch (error) {
        for (const { reject } of batch) reject(error)
      }
    }
    draining = false
  }

  return (work) =>
    new Promise((resolve, reject) => {
      queue.push({ run: () => work().then(resolve, reject), reject })
      if (!draining) void drain()
    })
}
