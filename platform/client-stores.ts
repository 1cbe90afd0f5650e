import type { ClientCertificateStore, ClientIdentity, HeldIdentity } from './client-store.ts'
import type { Machine } from './machine.ts'
import { findNssDatabases } from './nss/browsers.ts'
import { createNssClientStore } from './nss/client.ts'
import type { PrivatePkcs12 } from './nss/pkcs12.ts'

/**
 * Returns the system's store on macOS and Windows, which all browsers there read; `null` elsewhere.
 */
async function findSystemClientStore(
  machine: Machine,
  system: NodeJS.Platform = process.platform,
): Promise<ClientCertificateStore<HeldIdentity> | null> {
  if (system === 'win32') {
    const { createWindowsClientStore } = await import('./windows/client.ts')
    return createWindowsClientStore(machine)
  }
  if (system !== 'darwin') return null
  const { createMacosClientStore } = await import('./macos/client.ts')
  return createMacosClientStore(machine)
}

/**
 * Returns a store for each of the person's NSS databases. Those of the system are left out: they
 * are not a place for a person's key.
 */
async function findNssClientStores(
  machine: Machine,
): Promise<ClientCertificateStore<ClientIdentity, PrivatePkcs12>[]> {
  const databases = (await findNssDatabases(machine)).filter(({ as }) => as === 'person')
  return databases.map((database) => createNssClientStore(machine, database))
}

/** The functions that find the stores of client certificates; tests pass their own. */
export interface ClientStoreFinders {
  readonly system: typeof findSystemClientStore
  readonly nss: typeof findNssClientStores
}

export const ofThisMachine: ClientStoreFinders = {
  system: findSystemClientStore,
  nss: findNssClientStores,
}
