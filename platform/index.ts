import { createFirefoxPoliciesStore } from './firefox-policies.ts'
import { findJavaKeystores } from './java-installations.ts'
import { createJavaStore } from './java-keystore.ts'
import { findSystemStore } from './linux-anchors.ts'
import type { Machine } from './machine.ts'
import { createNssStore } from './nss.ts'
import { findNssDatabases } from './nss-profiles.ts'
import type { StoreKind, TrustStore } from './trust-store.ts'

/** Every trust store on this machine, the absent kinds included: each says so in its availability. */
export async function findTrustStores(
  machine: Machine,
  system: NodeJS.Platform = process.platform,
): Promise<TrustStore[]> {
  switch (system) {
    case 'linux':
      return findLinuxStores(machine)
    default:
      return [createAbsentStore('system', 'System store', `Rootling does not know ${system} yet.`)]
  }
}

async function findLinuxStores(machine: Machine): Promise<TrustStore[]> {
  const [system, databases, keystores] = await Promise.all([
    findSystemStore(machine),
    findNssDatabases(machine),
    findJavaKeystores(machine),
  ])
  const nss = databases.map((database) => createNssStore(machine, database))
  const java = keystores.map((keystore) => createJavaStore(machine, keystore))
  if (nss.length === 0) {
    nss.push(
      createAbsentStore(
        'nss',
        'Browsers',
        'No browser of the Chromium or Firefox family has a database here.',
      ),
    )
  }
  if (java.length === 0) {
    java.push(createAbsentStore('java', 'Java', 'No Java is on this machine.'))
  }
  return [system, createFirefoxPoliciesStore(machine), ...nss, ...java]
}

/** Stands for a kind of store that this machine has none of. */
function createAbsentStore(kind: StoreKind, title: string, reason: string): TrustStore {
  return {
    id: `${kind}:none`,
    kind,
    title,
    availability: async () => ({ available: false, code: 'absent', reason }),
    list: async () => [],
    has: async () => false,
    install: async () => {},
    uninstall: async () => {},
  }
}
