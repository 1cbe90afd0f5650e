import type { CertificateRecord } from './records.ts'
import type { NewScope, PublicHalf, RotationPart } from './scopes.ts'
import type { Revocation } from '../x509/revocation.ts'

/**
 * What an authority knows: its scopes, the certificates that it issued, which of them are revoked,
 * and the numbers of its CRLs. The adapters are `files/` (the default: a state directory of this
 * machine) and `memory/` (tests). What the ACME server knows beside it is in `AcmeStore` of
 * src/acme/store.
 *
 * Every adapter keeps these promises, which test/storage/contract.ts tries on each:
 *
 * 1. Changes follow each other: while the work of one `change` runs, no other does, in any process
 *    that shares the storage.
 * 2. Each call of a `Change` happens whole or not at all.
 * 3. When `change` resolves, all its calls are durable, except those made with `durable: false`,
 *    which outlive the process and perhaps not a power cut. Every reader sees them.
 * 4. When the work throws, or its process dies, what stands is a prefix of its calls: those that had
 *    resolved (files), or none (a database that rolls back). So callers order their calls such that
 *    each prefix is a sound state.
 * 5. Reads within a change see what the change wrote. Other readers see a call at the earliest when
 *    it is made, and at the latest when `change` has resolved.
 */
export interface Storage {
  /** For sentences: where all this is kept, such as a path. */
  readonly place: string
  readonly scopes: ScopeReader
  readonly certificates: CertificateReader
  readonly keys: KeyReader
  /** Runs `work` alone. Throws `locked` where another process does not end its change. */
  change<T>(work: (change: Change) => Promise<T>): Promise<T>
}

export interface ScopeReader {
  /** Returns a text that differs after every change of a scope. It is cheap: requests ask for it. */
  version(): Promise<string>
  /** Names of the scopes, `local` first, the others in order; none: there is no authority yet. */
  names(): Promise<readonly string[]>
  /** Throws `corrupt-state`, also where there is no such scope. */
  read(name: string, part?: RotationPart): Promise<PublicHalf>
  /** The scopes that unfinished rotations keep beside the others, and which part each is. */
  parts(): Promise<readonly { readonly name: string; readonly part: RotationPart }[]>
  /** The root's only CRL, DER. Throws `corrupt-state`, also where none was made. */
  rootCrl(name: string): Promise<Buffer>
  /** The root's only OCSP response, DER; `null`: none was made. */
  rootOcsp(name: string): Promise<Buffer | null>
}

/** Keys stand apart from what anybody may read: a copy of all else signs nothing. */
export interface KeyReader {
  /**
   * Returns the signing key of a scope, PKCS #8 PEM. `digest` is its `keyDigest`: a key that does not
   * belong to the scope is `corrupt-state`. Throws `loose-key` where others can read it.
   */
  read(name: string, digest: string): Promise<string>
}

/** A certificate on record, with what happened to it since. */
export interface Entry {
  readonly certificate: CertificateRecord
  /** `null`: it is not revoked. A hold that was released is none. */
  readonly revocation: Revocation | null
  /** Whether it is neither listed nor renewed any more. Its revocation stays known. */
  readonly forgotten: boolean
}

export interface DueOptions {
  /** The names of the scopes whose certificates are renewed. */
  readonly scopes: readonly string[]
  /** The serial numbers of certificates to return also when they are not due. */
  readonly also?: readonly string[] | undefined
}

/** What is to be renewed; revoked and forgotten certificates are not. */
export interface Due {
  readonly entries: readonly Entry[]
  /** When the first of all others is due (milliseconds); `null`: there is no other. */
  readonly next: number | null
}

/**
 * Reads the certificates on record. What one question costs does not grow with their number, except
 * for `current` and `all`.
 */
export interface CertificateReader {
  /** Returns a text that differs after every change of the record. It is cheap. */
  version(): Promise<string>
  /** `serialNumber` in lower-case hex; `null`: it is not on record. */
  find(serialNumber: string): Promise<Entry | null>
  /** `fingerprint` is the SHA-256 of the DER in hex. */
  findByFingerprint(fingerprint: string): Promise<Entry | null>
  /** The newest certificate that was written to a file. */
  findByFile(certPath: string): Promise<Entry | null>
  /** The revocation of a serial number, also of one that is not on record. */
  revocationOf(serialNumber: string): Promise<Revocation | null>
  /** What the CRL of a scope lists: revoked certificates that end at `notBefore` or later. */
  revoked(scope: string, notBefore: Date): Promise<readonly Entry[]>
  /** Returns a text that differs after every change of the revocations of a scope. It is cheap. */
  revocationsVersion(scope: string): Promise<string>
  /** Returns the newest certificates of files that are due for renewal, and when the next is due. */
  due(at: Date, options: DueOptions): Promise<Due>
  /**
   * Yields the newest certificate of each file, oldest first, in pages; with `printed`, those that
   * were written to no file too. A page may be any part of the whole.
   */
  current(options?: { readonly printed?: boolean }): AsyncIterable<readonly Entry[]>
  /** Yields every certificate on record, oldest first, in pages. */
  all(): AsyncIterable<readonly Entry[]>
}

/** The calls of one change. */
export interface Change extends Pick<Storage, 'scopes' | 'certificates' | 'keys'> {
  /** Adds a scope with its key (PKCS #8 PEM), which is kept apart; `false`: the name is taken. */
  createScope(scope: NewScope, key: string, part?: RotationPart): Promise<boolean>
  /** Puts the scope that a rotation made (`.next`) in the place of the old one (then `.old`). */
  switchScope(name: string): Promise<void>
  /**
   * Deletes a scope with its key; absent is success. Returns what was left there because Rootling did
   * not write it, for sentences.
   */
  deleteScope(name: string, part?: RotationPart): Promise<readonly string[]>
  /** Records certificates, each whole or not at all; of several, a kill may leave the first ones. */
  issued(
    certificates: readonly CertificateRecord[],
    options?: { readonly durable?: boolean },
  ): Promise<void>
  /** A second revocation of the same certificate replaces the first. */
  revoked(revocation: Revocation): Promise<void>
  released(serialNumber: string, at: Date): Promise<void>
  forgotten(serialNumbers: readonly string[], at: Date): Promise<void>
  /**
   * Returns the number of a scope's next CRL: above every number before, and at least the seconds of
   * `now` since 1970. It is stored before it is returned. Throws `corrupt-state`.
   */
  nextCrlNumber(scope: string, now: Date): Promise<number>
}
