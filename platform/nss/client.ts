import { createHash, X509Certificate } from 'node:crypto'
import { RootlingError } from '../../src/errors.ts'
import { shellWord } from '../../src/shell-word.ts'
import type { ClientCertificateStore, ClientIdentity } from '../client-store.ts'
import { complaintOf, expectSuccess, type CommandResult } from '../command.ts'
import { exists } from '../file-status.ts'
import type { Machine } from '../machine.ts'
import { missingTool } from '../packages.ts'
import { createAnchor, fingerprintOf } from '../pem.ts'
import {
  createCertutil,
  databaseFileOf,
  targetOf,
  type NssDatabase,
  type NssEntryWithCertificates as Entry,
} from './database.ts'
import { obstacleOf } from './obstacle.ts'
import { findPk12util, type PrivatePkcs12 } from './pkcs12.ts'

/**
 * A store that keeps the person's client certificates in one NSS database, through pk12util and
 * certutil.
 */
export function createNssClientStore(
  machine: Machine,
  database: NssDatabase,
): ClientCertificateStore<ClientIdentity, PrivatePkcs12> {
  const { directory, as, title } = database
  const target = targetOf(database)
  const certutil = createCertutil(machine, database)

  const entries = async (): Promise<Entry[]> => certutil.withCertificates(await certutil.entries())

  async function change(...args: readonly string[]): Promise<void> {
    expectSuccess('certutil', await certutil.change(args))
  }

  async function holderOf(fingerprint: string): Promise<Entry | undefined> {
    return (await entries()).find(
      (entry) =>
        hasKey(entry) && entry.certificates.some((der) => fingerprintOf(der) === fingerprint),
    )
  }

  /**
   * Removes one certificate of an entry. Used only for a sole certificate, `-F -n` also deletes the
   * key, which a renewed certificate under the same nickname may still need. With several, `-D`
   * deletes until this certificate is gone, the others that were deleted are added again, and the
   * key is deleted if none of the database's certificates has it.
   */
  async function removeOne({ nickname, certificates }: Entry, fingerprint: string): Promise<void> {
    if (certificates.length === 1) return change('-F', '-n', nickname)
    for (const _ of certificates) {
      await change('-D', '-n', nickname)
      if (!(await heldFingerprints()).has(fingerprint)) break
    }
    const left = await heldFingerprints()
    for (const der of certificates) {
      if (fingerprintOf(der) === fingerprint || left.has(fingerprintOf(der))) continue
      const args = ['-A', '-a', '-t', ',,', '-n', nickname]
      expectSuccess('certutil', await certutil.change(args, createAnchor(der).pem))
    }
    const own = certificates.find((der) => fingerprintOf(der) === fingerprint)
    const key = own === undefined ? null : keyIdOf(own)
    if (key === null) return
    const others = (await entries()).flatMap((entry) => entry.certificates)
    if (!others.some((der) => keyIdOf(der) === key)) await change('-F', '-k', key)
  }

  async function heldFingerprints(): Promise<ReadonlySet<string>> {
    const held = (await entries()).flatMap(({ certificates }) => certificates)
    return new Set(held.map(fingerprintOf))
  }

  /**
   * Removes the issuers that came with the certificate and have no trust flags, but only when the
   * database holds no other certificate with a key.
   */
  async function removeIssuers(issuers: readonly string[]): Promise<void> {
    if ((await entries()).some(hasKey)) return
    for (const { nickname, flags, certificates } of await entries()) {
      const came = certificates.every((der) => issuers.includes(fingerprintOf(der)))
      if (flags === ',,' && certificates.length === 1 && came) await change('-D', '-n', nickname)
    }
  }

  async function importFile({ file, passwordFile, shown }: PrivatePkcs12): Promise<void> {
    // A dry run shows what a person would type: pk12util then asks for the password.
    const args = machine.dryRun ? ['-i', shown] : ['-i', file, '-w', passwordFile]
    const line = [...args, ...target, ...noPk12utilPassword]
    const result = await machine.change(await findPk12util(machine), line, { as })
    if (result.exitCode !== 0)
      throw (
        (await obstacleOf(database, machine.person)) ??
        refusal(database, machine.person.name, result)
      )
  }

  const store: ClientCertificateStore<ClientIdentity, PrivatePkcs12> = {
    id: `nss:${directory}`,
    kind: 'nss',
    title,

    async availability() {
      if (!(await exists(databaseFileOf(database)))) {
        const reason = `${title} has no database yet.`
        return { available: false, code: 'absent', reason, hint: 'To make it: rootling install' }
      }
      for (const tool of ['pk12util', 'certutil'] as const)
        if ((await machine.find(tool)) === null)
          return missingTool(machine, 'certutil', `${tool}, which writes ${title}, is not there.`)
      return { available: true }
    },

    has: async ({ fingerprint }) => (await holderOf(fingerprint)) !== undefined,

    async install(pkcs12, identity, nickname) {
      if ((await holderOf(identity.fingerprint)) === undefined) await importFile(pkcs12)
      if (nickname === undefined || machine.dryRun) return
      const holder = await holderOf(identity.fingerprint)
      if (holder === undefined || holder.nickname === nickname) return
      const args = ['--rename', '-n', holder.nickname, '--new-n', nickname, ...target]
      expectSuccess('certutil', await machine.change(await certutil.program(), args, { as }))
    },

    async remove(identity) {
      const holder = await holderOf(identity.fingerprint)
      if (holder === undefined) return
      if (machine.dryRun) {
        await certutil.change(['-F', '-n', holder.nickname])
        return
      }
      await removeOne(holder, identity.fingerprint)
      await removeIssuers(identity.issuers)
    },
  }
  return store
}

/**
 * Names an empty password file: pk12util would otherwise ask for a primary password on the
 * terminal.
 */
const noPk12utilPassword = ['-k', '/dev/null'] as const

/**
 * Returns the identifier that NSS gives to the key of a certificate: the SHA-1 of an RSA modulus or
 * of a point of a curve, in hex; `null`: a key of another kind.
 */
function keyIdOf(der: Buffer): string | null {
  const { n, x = '', y } = new X509Certificate(der).publicKey.export({ format: 'jwk' })
  const octets = (text: string): Buffer => Buffer.from(text, 'base64url')
  const hash = (...parts: Buffer[]): string =>
    createHash('sha1').update(Buffer.concat(parts)).digest('hex')
  if (n !== undefined) return hash(octets(n))
  return y === undefined ? null : hash(Buffer.of(4), octets(x), octets(y))
}

/** Whether the database has the private key, which certutil shows as `u` in the flags. */
const hasKey = ({ flags }: Entry): boolean => flags.includes('u')

/**
 * Returns the error for a failed import. The password of the file was checked before, so a wrong
 * password here is that of the database.
 */
function refusal(
  { title, directory }: NssDatabase,
  user: string,
  result: CommandResult,
): RootlingError {
  const said = `${result.stderr}${result.stdout}`
  if (/SEC_ERROR_(?:BAD_PASSWORD|TOKEN_NOT_LOGGED_IN)|SEC_ERROR_NEED_PASSWORD/.test(said)) {
    const command = `pk12util -d ${shellWord(`sql:${directory}`)} -i FILE`
    return new RootlingError('store-failed', `${title} is locked by a primary password.`, {
      hint: `Import the file in the browser's settings, or: ${command}`,
    })
  }
  if (/READ_ONLY|SEC_ERROR_BAD_DATABASE/.test(said))
    return new RootlingError('store-failed', `${title} is not writable for ${user}.`, {
      hint: `sudo chown -R ${shellWord(user)} ${shellWord(directory)}`,
    })
  const last = complaintOf(result)
  return new RootlingError('tool-failed', `pk12util did not write ${title}: ${last}`)
}
