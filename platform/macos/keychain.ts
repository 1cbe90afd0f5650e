import path from 'node:path'
import { RootlingError } from '../../src/errors.ts'
import { shellWord } from '../../src/shell-word.ts'
import { withAnchorFile } from '../anchor-file.ts'
import { expectSuccess, timeLimits, type CommandResult } from '../command.ts'
import type { Machine } from '../machine.ts'
import { isOwnSubject } from '../own-subject.ts'
import { certificatesIn, createAnchor, distinctAnchors } from '../pem.ts'
import { unsupported, type StoreScope, type TrustAnchor, type TrustStore } from '../trust-store.ts'

export const security = '/usr/bin/security'
const launchctl = '/bin/launchctl'

/**
 * A place where trust can be set: the person's, or the administrator's, which holds for the whole
 * machine.
 */
interface Domain {
  readonly storeScope: StoreScope
  readonly keychain: string
  /** The options of `add-trusted-cert` and `remove-trusted-cert` that choose the domain. */
  readonly flags: readonly string[]
  readonly as: 'person' | 'root'
  /** The right in macOS's authorization database that changing trust needs. */
  readonly right: string
}

/**
 * The exit code of `security` when there is no such keychain: the last byte of
 * errSecNoSuchKeychain, -25294.
 */
export const noSuchKeychain = 50

/**
 * The options that trust a root for servers only: `-r` without `-p` would cover code signing too.
 * `basic` is there because Node reads it.
 */
const policies = ['-r', 'trustRoot', '-p', 'ssl', '-p', 'basic']

/**
 * A store that keeps roots in the keychain of macOS, through `security`. `install` writes to one
 * domain; `has` and `uninstall` look into both, because clients trust a root from either.
 */
export function createMacosKeychainStore(
  machine: Machine,
  storeScope: StoreScope = 'user',
): TrustStore {
  const domains = domainsOf(machine)
  const target = domains[storeScope]

  const change = (domain: Domain, args: readonly string[]) =>
    machine.change(security, args, { as: domain.as, timeLimit: timeLimits.dialog })

  /** Returns the certificates in a domain's keychain; `null`: there is no such keychain. */
  async function read({ keychain }: Domain): Promise<Buffer[] | null> {
    // Without -a, only the first certificate is printed, and the exit code for an empty keychain is
    // 44.
    const result = await machine.query(security, ['find-certificate', '-a', '-Z', '-p', keychain])
    if (result.exitCode === noSuchKeychain) return null
    return certificatesIn(expectSuccess('security', result).stdout)
  }

  const certificates = async (domain: Domain) => (await read(domain)) ?? []

  const isIn = async (domain: Domain, anchor: TrustAnchor) =>
    (await certificates(domain)).some((der) => der.equals(anchor.der))

  /** Removes the trust in a root. Returns `null`, or the answer of `security` when it refused. */
  async function distrust(domain: Domain, file: string): Promise<CommandResult | null> {
    machine.announce(promptOf(domain, 'take the root out of'))
    const result = await change(domain, ['remove-trusted-cert', ...domain.flags, file])
    return result.exitCode === 0 ? null : result
  }

  /** Deletes the certificate itself, which remove-trusted-cert leaves in the keychain. */
  async function deleteFrom(domain: Domain, anchor: TrustAnchor) {
    const hash = anchor.fingerprint.toUpperCase()
    const args = ['delete-certificate', '-Z', hash, domain.keychain]
    expectSuccess('security', await change(domain, args))
  }

  const store: TrustStore = {
    id: `system:${target.keychain}`,
    kind: 'system',
    title: storeScope === 'user' ? 'macOS login keychain' : 'macOS System keychain',

    async availability() {
      if ((await machine.find(security)) === null)
        return unsupported(`${security} is not on this machine.`)
      if ((await read(target)) !== null) return { available: true }
      return unsupported(
        `There is no keychain ${target.keychain}.`,
        'Log in at the desktop once, or use --store-scope system',
      )
    },

    async list() {
      const all = [...(await certificates(domains.user)), ...(await certificates(domains.system))]
      return distinctAnchors(all.filter(isOwnSubject).map(createAnchor))
    },

    async has(anchor) {
      const present = (await isIn(domains.user, anchor)) || (await isIn(domains.system, anchor))
      return present && (await isTrusted(machine, anchor))
    },

    async install(anchor) {
      if (await store.has(anchor)) return
      const wasThere = await isIn(target, anchor)
      await withAnchorFile(machine, anchor, async (file) => {
        machine.announce(promptOf(target, 'add the root to'))
        const where = [...target.flags, ...policies, '-k', target.keychain]
        const error = await change(target, ['add-trusted-cert', ...where, file]).then(
          async (result) => {
            if (result.exitCode === 0) return null
            // macOS first adds the certificate, then the trust. If the certificate is there, the
            // trust was refused.
            if (await isIn(target, anchor)) return refusal(machine, target, result)
            return keychainRefused(target, result)
          },
          (error: unknown) => error,
        )
        if (error === null) return
        if (!wasThere && (await isIn(target, anchor))) await deleteFrom(target, anchor)
        throw error
      })
    },

    async uninstall(anchor) {
      const holders: Domain[] = []
      for (const domain of Object.values(domains)) {
        if (await isIn(domain, anchor)) holders.push(domain)
      }
      await withAnchorFile(machine, anchor, async (file) => {
        for (const domain of holders) {
          const result = await distrust(domain, file)
          // A root that was added by hand and never trusted has no settings to remove, so only a
          // root that is still trusted is an error.
          if (result !== null && (await isTrusted(machine, anchor)))
            throw await refusal(machine, domain, result)
        }
      })
      for (const domain of holders) await deleteFrom(domain, anchor)
    },
  }
  return store
}

/**
 * Whether exactly this certificate is trusted: macOS keeps trust settings by the certificate's
 * hash.
 */
async function isTrusted(machine: Machine, anchor: TrustAnchor): Promise<boolean> {
  const result = await withAnchorFile(machine, anchor, (file) =>
    machine.query(security, ['verify-cert', '-q', '-L', '-l', '-c', file, '-p', 'ssl']),
  )
  if (result.exitCode === 1) return false
  expectSuccess('security', result)
  return true
}

/**
 * Returns the error for a refusal of `security`. Its messages are localized, so the kind of session
 * shows why it refused.
 */
async function refusal(
  machine: Machine,
  { right }: Domain,
  result: CommandResult,
): Promise<RootlingError> {
  const cause = new Error(result.stderr.trim().slice(0, 300))
  const session = await machine.query(launchctl, ['managername']).catch(() => null)
  if (session?.stdout.trim() === 'Aqua') {
    return new RootlingError('cancelled', 'macOS asked for permission and did not get it.', {
      hint: 'Run it again and confirm the dialog with your password or Touch ID',
      cause,
    })
  }
  return new RootlingError(
    'store-failed',
    'macOS lets trust be changed only from its desktop, and this session (ssh, CI) has none.',
    {
      hint:
        'Run it in Terminal on the Mac itself; on a CI machine, type this before: ' +
        `sudo security authorizationdb write ${right} allow`,
      cause,
    },
  )
}

function domainsOf({ person }: Machine): Record<StoreScope, Domain> {
  return {
    user: {
      storeScope: 'user',
      keychain: path.posix.join(person.home, 'Library/Keychains/login.keychain-db'),
      flags: [],
      as: 'person',
      right: 'com.apple.trust-settings.user',
    },
    system: {
      storeScope: 'system',
      keychain: '/Library/Keychains/System.keychain',
      flags: ['-d'],
      as: 'root',
      right: 'com.apple.trust-settings.admin',
    },
  }
}

function promptOf({ storeScope }: Domain, what: string): string {
  const whose = storeScope === 'user' ? 'your login keychain' : 'the System keychain'
  return `macOS opens a dialog for your password or Touch ID, to ${what} ${whose}.`
}

function keychainRefused({ keychain }: Domain, result: CommandResult): RootlingError {
  const said = result.stderr.trim().split('\n').at(-1) ?? ''
  return new RootlingError('store-failed', `${keychain} did not take the root: ${said}`, {
    hint: `security unlock-keychain ${shellWord(keychain)}`,
  })
}
