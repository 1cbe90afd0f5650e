/** What went wrong, for programs: stable across releases, asserted by tests, printed by `--json`. */
export type ErrorCode =
  | 'usage' // the command line or an argument is wrong
  | 'bad-name' // an identifier that no certificate can carry
  | 'not-permitted' // a name outside the constraints of every scope
  | 'no-authority' // nothing was created yet
  | 'no-scope' // no scope of that name
  | 'scope-exists'
  | 'loose-key' // a key file that others can read or that another user owns
  | 'corrupt-state' // a state file that cannot be read as what it should be
  | 'state-unwritable' // disk full, read-only, no permission
  | 'locked' // another process holds the lock for too long
  | 'not-ours' // an existing file that must not be replaced
  | 'issuer-expired'
  | 'issuer-not-yet-valid' // the clock stands before the authority's first day
  | 'bad-certificate' // a file that holds no certificate, or the wrong kind
  | 'bad-key' // a file that holds no private key, or not the certificate's
  | 'bad-der' // foreign bytes that are no DER, too large or too deep
  | 'file-unreadable'
  | 'store-failed' // a trust store refused
  | 'tool-missing' // a program such as certutil is not there
  | 'tool-failed' // a program answered with an error
  | 'tool-timeout'
  | 'cancelled' // the user said no
  | 'port-in-use'
  | 'listen-failed'
  | 'connect-failed'
  | 'not-trusted' // a certificate that a client refuses
  | 'unsupported' // nothing that this system lets a program do
  | 'internal'

export interface RootlingErrorOptions {
  /** What to type or do next: one line, without a final full stop when it is a command. */
  hint?: string | undefined
  cause?: unknown
}

/** An error for a person: one sentence that names the value at fault, and a hint. */
export class RootlingError extends Error {
  readonly code: ErrorCode
  readonly hint: string | undefined

  constructor(code: ErrorCode, sentence: string, options: RootlingErrorOptions = {}) {
    super(sentence, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'RootlingError'
    this.code = code
    this.hint = options.hint
  }
}
