import { findProfilesWithoutSystemRoots } from './firefox/enterprise-roots.ts'
import { findFirefoxPolicies } from './firefox/policies.ts'
import { findJavaKeystores, whyNoKeystore } from './java/installations.ts'
import { createJavaStore, type AskKeystorePassword } from './java/keystore.ts'
import { findSystemStore } from './linux/anchors.ts'
import type { Machine } from './machine.ts'
import { createMacosKeychainStore } from './macos/keychain.ts'
import { findNssDatabases, findPassedOver } from './nss/browsers.ts'
import { createNssStore } from './nss/store.ts'
import type { StoreKind, StoreScope, TrustStore } from './trust-store.ts'
import { createWindowsRootStore, nativeWindows } from './windows/root.ts'
import { findWindowsOutside } from './windows/wsl.ts'

export interface FindOptions {
  /**
   * Whether trust is changed for the user or the whole machine, on macOS and Windows; by default
   * the platform's choice.
   */
  readonly storeScope?: StoreScope | undefined
  /** A file whose first line is the password of Java's keystores that do not have the usual one. */
  readonly javaPasswordFile?: string | undefined
  /** Asks the person for the password of a keystore; absent: nobody can be asked. */
  readonly askKeystorePassword?: AskKeystorePassword | undefined
}

/**
 * Returns every trust store on this machine. A kind of store that is absent is returned too, and
 * its `availability` says so.
 */
export async function findTrustStores(
  machine: Machine,
  system: NodeJS.Platform = process.platform,
  options: FindOptions = {},
): Promise<TrustStore[]> {
  const { storeScope } = options
  switch (system) {
    case 'linux':
      return findLinuxStores(machine, options)
    case 'darwin':
      return [
        createMacosKeychainStore(machine, storeScope),
        ...(await findProfilesWithoutSystemRoots(machine, system)),
        ...(await findJavaStores(machine, options)),
      ]
    case 'win32':
      return [
        createWindowsRootStore(machine, nativeWindows(machine), storeScope),
        ...(await findProfilesWithoutSystemRoots(machine, system)),
        ...(await findJavaStores(machine, options)),
      ]
    default:
      return [createAbsentStore('system', 'System store', `Rootling does not know ${system} yet.`)]
  }
}

async function findLinuxStores(machine: Machine, options: FindOptions): Promise<TrustStore[]> {
  const { storeScope } = options
  const [system, windows, policies, databases, passedOver, java] = await Promise.all([
    findSystemStore(machine),
    findWindowsOutside(machine),
    findFirefoxPolicies(machine),
    findNssDatabases(machine),
    findPassedOver(machine),
    findJavaStores(machine, options),
  ])
  const outside = windows === null ? [] : [createWindowsRootStore(machine, windows, storeScope)]
  const nss = databases.map((database) => createNssStore(machine, database))
  for (const { title, reason } of passedOver)
    nss.push(createAbsentStore('nss', title, reason, title))
  if (nss.length === 0) {
    nss.push(
      createAbsentStore(
        'nss',
        'Browsers',
        'No browser of the Chromium or Firefox family has a database here.',
      ),
    )
  }
  return [system, ...outside, ...policies, ...nss, ...java]
}

async function findJavaStores(
  machine: Machine,
  { javaPasswordFile, askKeystorePassword }: FindOptions,
): Promise<TrustStore[]> {
  const keystores = await findJavaKeystores(machine)
  if (keystores.length === 0) {
    return [createAbsentStore('java', 'Java', await whyNoKeystore(machine))]
  }
  return keystores.map((keystore) =>
    createJavaStore(machine, keystore, javaPasswordFile, askKeystorePassword),
  )
}

/** Returns a store that stands for one that this machine does not have, or not yet. */
function createAbsentStore(
  kind: StoreKind,
  title: string,
  reason: string,
  name = 'none',
): TrustStore {
  return {
    id: `${kind}:${name}`,
    kind,
    title,
    availability: async () => ({ available: false, code: 'absent', reason }),
    list: async () => [],
    has: async () => false,
    install: async () => {},
    uninstall: async () => {},
  }
}
