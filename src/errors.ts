/**
 * Tells a program what went wrong; `--json` prints the code too. A code keeps its meaning across
 * releases.
 */
export type ErrorCode =
  | 'usage' // the command line or an argument is wrong
  | 'bad-name' // an identifier that no certificate can carry
  | 'not-permitted' // a name outside the constraints of every scope
  | 'no-authority' // no certificate authority was created yet
  | 'no-scope' // no scope of that name
  | 'scope-exists'
  | 'loose-key' // a key that others can read, or a key, root or record that others can replace
  | 'corrupt-state' // a damaged file in the state directory
  | 'newer-state' // the state directory was written by a newer Rootling
  | 'state-unwritable' // disk full, read-only, no permission
  | 'database-away' // the database does not answer, not in time, or lets nobody in
  | 'locked' // another process holds the lock for too long
  | 'bad-project' // a rootling.json with faults, or in a place where it does not count
  | 'approval-needed' // a project asks for what its person must approve, and nobody can be asked
  | 'not-ours' // an existing file that was not made here, so it is not replaced
  | 'issuer-expired'
  | 'issuer-not-yet-valid' // the clock is set to a date before the authority's first day
  | 'bad-certificate' // a file without a certificate, or with one of the wrong kind
  | 'bad-key' // a file without a private key, or with the key of another certificate
  | 'bad-der' // bytes that are not DER, too many, or nested too deep
  | 'file-unreadable'
  | 'store-failed' // a trust store refused
  | 'hosts-failed' // the hosts file cannot be read or changed
  | 'hosts-conflict' // the hosts file gives a name another address than the one that was asked for
  | 'route-taken' // what the proxy would answer for is another project's or command's
  | 'tool-missing' // a program such as certutil is not installed
  | 'tool-failed' // a program answered with an error
  | 'tool-timeout'
  | 'cancelled' // the user declined
  | 'port-in-use'
  | 'listen-failed'
  | 'connect-failed'
  | 'not-trusted' // a certificate that a client refuses
  | 'unsupported' // this system does not let a program do what was asked
  | 'internal'

/** One thing that is wrong in a file that a person wrote. */
export interface Fault {
  /** The absolute path of the file. */
  readonly file: string
  /** Counted from 1, as editors do. */
  readonly line: number
  /** Counted from 1, in UTF-16 code units. */
  readonly column: number
  /** Where in the file, such as `certificates[0].days`; empty: the file as a whole. */
  readonly key: string
  /** What is wrong and what is allowed, in one sentence without the key. */
  readonly message: string
}

/** What a RootlingError can have beside its code and its sentence. */
export interface RootlingErrorOptions {
  /** Everything that is wrong in a file, in its order. */
  faults?: readonly Fault[] | undefined
  /** What to type or do next, in one line. */
  hint?: string | undefined
  /** The error that led to this one. */
  cause?: unknown
}

/** What the errors of all copies of this package have in common. */
const brand = Symbol.for('rootling.RootlingError')

/**
 * The error that this library throws for every failure that it expects: `message` is one sentence
 * for people, which names the value at fault; `code` is for programs; `hint` says what to type or
 * do next, where something helps; `cause` is the underlying error, if any.
 *
 * @example
 * import { certificateFor, RootlingError } from 'rootling'
 *
 * try {
 *   await certificateFor('www.example.com')
 * } catch (error) {
 *   if (!(error instanceof RootlingError)) throw error
 *   console.log(error.code) // not-permitted
 * }
 */
export class RootlingError extends Error {
  static {
    // Not a member of the type: the errors of two copies of the package would be of different types.
    Object.defineProperty(this.prototype, brand, { value: true })
  }

  /** What went wrong, for a program. */
  readonly code: ErrorCode
  /** What to type or do next, in one line; `undefined`: nothing is known to help. */
  readonly hint: string | undefined
  /** Absent: the error is not about the contents of a file that a person wrote. */
  declare readonly faults?: readonly Fault[]

  constructor(code: ErrorCode, sentence: string, options: RootlingErrorOptions = {}) {
    super(sentence, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'RootlingError'
    this.code = code
    this.hint = options.hint
    if (options.faults !== undefined) this.faults = options.faults
  }
}

/**
 * Whether something that was thrown is a RootlingError, of the given code if there is one. Unlike
 * `instanceof`, it also knows the errors of another copy of this package, such as one that a
 * dependency brings.
 *
 * @example
 * import { certificateFor, isRootlingError } from 'rootling'
 *
 * const error = await certificateFor('www.example.com').catch((error) => error)
 * if (isRootlingError(error, 'not-permitted')) console.log(error.hint)
 */
export function isRootlingError<Code extends ErrorCode = ErrorCode>(
  error: unknown,
  code?: Code,
): error is RootlingError & Readonly<Record<'code', Code>> {
  if (typeof error !== 'object' || error === null || !(brand in error)) return false
  return code === undefined || (error as unknown as RootlingError).code === code
}

/** The error, of code `cancelled`, of a person who pressed Ctrl-C at a question: the work ends. */
export class Interrupted extends RootlingError {
  constructor() {
    super('cancelled', 'Cancelled; nothing was changed.')
  }
}

/**
 * The error of a NAME in the command line that nothing here has. Whatever its code is, the command
 * exits as for wrong usage.
 */
export class UnknownName extends RootlingError {}

/** The error, of code `bad-key`, of a password that does not open a file; another may be tried. */
export class WrongPassword extends RootlingError {
  constructor(shown: string, cause?: unknown) {
    super('bad-key', `The password does not open ${shown}.`, {
      hint: '--password-file FILE, whose first line is the password that rootling issue printed',
      cause,
    })
  }
}
