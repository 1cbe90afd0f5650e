import { AcmeProblem } from '../problems.ts'

/**
 * Limits on what is kept for clients, above all on orders whose names are not proved: they cost a
 * client nothing, but the server memory. At a limit the oldest entry is dropped, so that no client
 * can lock others out. How often clients may ask is limited by limits.ts, and only where an
 * option says so: on one machine a limit could refuse a client that does no harm.
 */
export const bounds = {
  /** Names of one account in orders that wait, or that failed within the hour. */
  namesOfAccount: 2_000,
  /** Names in all orders without a certificate. */
  names: 20_000,
  /** Accounts; beyond this number, or these octets, those without orders are forgotten. */
  accounts: 5_000,
  octetsOfAccounts: 8 * 1024 * 1024,
  /**
   * Octets of all accounts, and all orders with what belongs to them, as lines of the journal. Beyond them
   * the oldest finished orders are forgotten: the record and the client's files keep the certificates.
   * There is room for about 6,000 orders of one name, or 700 of 100 names.
   */
  octets: 32 * 1024 * 1024,
  /** Validations at the same time. */
  validations: 1_000,
  /** Nonces that are not used, of a store in memory. */
  nonces: 100_000,
  /** Octets of request bodies that are not complete. */
  bodies: 16 * 1024 * 1024,
}

/**
 * Makes the problem for a limit, which metrics call `limit`. `seconds` is the time until the client may
 * try again: an integer, since some clients cannot read a date.
 */
export const rateLimited = (limit: string, detail: string, seconds: number): AcmeProblem =>
  new AcmeProblem('rateLimited', detail, { headers: { 'Retry-After': String(seconds) }, limit })
