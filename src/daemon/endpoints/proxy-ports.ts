import { RootlingError } from '../../errors.ts'
import { defaultProxyPort } from '../settings.ts'

/** The ports of the proxy; tests have others. */
export interface ProxyPorts {
  /** In the order in which they are tried. */
  readonly https: readonly number[]
  /** Where plain HTTP is redirected from, if it can be had; `null`: nowhere. */
  readonly http: number | null
  /** Whether it listens without a route, and whether a failure ends the start. */
  readonly isGiven: boolean
}

/** Where the proxy listens when it may not listen at 443, or another program does. */
const fallbackPort = 14_443

/** The ports for the value of `--proxy-port`. */
export const portsFor = (setting: number): ProxyPorts =>
  setting === defaultProxyPort
    ? { https: [defaultProxyPort, fallbackPort], http: 80, isGiven: false }
    : { https: [setting], http: null, isGiven: true }

export const messageOf = (error: unknown): string =>
  error instanceof Error ? error.message : String(error)

/** Why something is not as it should be, and what to type. */
export interface Problem {
  readonly reason: string
  readonly hint: string | null
  readonly error: unknown
}

export const problemOf = (error: unknown): Problem => ({
  reason: messageOf(error),
  hint: error instanceof RootlingError ? (error.hint ?? null) : null,
  error,
})
