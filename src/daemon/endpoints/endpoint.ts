import type { StateDirectory } from '../../home/state-directory.ts'
import type { DaemonSettings } from '../settings.ts'

export interface EndpointOptions {
  readonly state: StateDirectory
  readonly settings: DaemonSettings
  readonly now: () => Date
  readonly log: (line: string) => void
  /** Sockets that a service manager bound (src/server/inherited.ts), by name. Default: none. */
  readonly inherited?: ReadonlyMap<string, readonly number[]> | undefined
}

/** Something that the daemon serves on a port of loopback, and maybe of another address too. */
export interface Endpoint {
  readonly what: string
  readonly url: string
  /** The URL by which other machines reach it; absent: only this one does. */
  readonly remoteUrl?: string | undefined
  /** Makes a key for an external account binding; only the ACME endpoint has this function. */
  readonly createEabKey?: () => Promise<unknown>
  close(): Promise<void>
}

/** Returns the sentence for the log when the machine has no IPv6. */
export const aloneOn127 = (what: string): string =>
  `no ::1 on this machine, so ${what} answers on 127.0.0.1 alone`
