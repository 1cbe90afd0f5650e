import { networkInterfaces } from 'node:os'
import { covers, scopeFor } from '../authority/coverage.ts'
import { readScopes } from '../authority/scope.ts'
import type { StateDirectory } from '../home/state-directory.ts'
import { parseIdentifier } from '../x509/identifier.ts'
import { ipBytes, ipText, isIP } from '../x509/ip.ts'

/** The names of every site on this machine. */
export const loopbackNames = ['localhost', '127.0.0.1', '::1'] as const

/** Returns the addresses of this machine, but for those that mean a network device too (fe80::/10). */
export function ownAddresses(): string[] {
  const rows = Object.values(networkInterfaces()).flatMap((each) => each ?? [])
  return rows.map(({ address }) => address).filter((address) => !/^fe[89ab]|%/i.test(address))
}

/** Whether a server that listens on `host` answers on an address of this machine. */
export function answersOn(host: string, address: string): boolean {
  if (host === '::') return true
  return host === '0.0.0.0' ? isIP(address) === 4 : canonical(host) === canonical(address)
}

const canonical = (address: string): string => ipText(ipBytes(address))

/** The addresses by which other machines reach a site, by whether its authority may sign them. */
export interface NetworkAddresses {
  readonly signed: readonly string[]
  readonly unsigned: readonly string[]
}

/**
 * Returns the addresses on which a server that listens on every address answers other machines.
 * Throws `no-authority`.
 */
export async function networkAddresses(
  state: StateDirectory,
  host: '0.0.0.0' | '::',
  own: readonly string[],
): Promise<NetworkAddresses> {
  const scope = scopeFor(await readScopes(state), loopbackNames.map(parseIdentifier))
  const outside = [...new Set(own)].filter((each) => answersOn(host, each) && !isLoopback(each))
  const isSigned = (address: string): boolean => covers(scope, [parseIdentifier(address)])
  return { signed: outside.filter(isSigned), unsigned: outside.filter((each) => !isSigned(each)) }
}

export const isLoopback = (address: string): boolean =>
  address.startsWith('127.') || canonical(address) === '::1'
