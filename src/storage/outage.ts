import { RootlingError } from '../errors.ts'

/**
 * Whether an error says that the database of a storage does not answer, or lets us in no more. A client is
 * told to come again; where the database is, and why it refuses, is the operator's affair.
 */
export const isOutage = (error: unknown): boolean =>
  error instanceof RootlingError &&
  (error.code === 'database-away' || error.code === 'connect-failed')

/** How long a client waits then, in seconds. */
export const retryAfterOutage = '5'
