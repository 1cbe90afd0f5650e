import { AcmeProblem } from '../problems.ts'

/**
 * What is remembered of clients, first of all what they may leave behind unproven, which costs
 * them nothing and the server memory. Rates of requests are not bounded: all come from this
 * machine, and whoever is turned away might be the one who does no harm. In all, the oldest gives
 * way to the newest, so that nobody is locked out.
 */
export const bounds = {
  /** Names of one account in orders that wait, or that failed within the hour. */
  namesOfAccount: 2_000,
  /** Names in all orders without a certificate. */
  names: 20_000,
  /** Accounts, before those without any order are forgotten. */
  accounts: 5_000,
  /** Finished orders, with their certificates; on record those stay, and in their files. */
  certificates: 3_000,
  /** Validations at a time. */
  validations: 1_000,
  /** Octets of bodies that are not complete. */
  bodies: 16 * 1024 * 1024,
}

/** `seconds` until it may be tried again: an integer, as clients stumble over dates. */
export const rateLimited = (detail: string, seconds: number): AcmeProblem =>
  new AcmeProblem('rateLimited', detail, { headers: { 'Retry-After': String(seconds) } })
