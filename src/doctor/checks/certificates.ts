import { networkInterfaces } from 'node:os'
import { renewable } from '../../certificates/renew.ts'
import { findOutdated } from '../../certificates/outdated.ts'
import { servedRevocationUrl, unansweredUrl } from '../../certificates/revocation-url.ts'
import { isDue } from '../../certificates/status.ts'
import { expiryWarning } from '../../authority/signer.ts'
import { existsSync } from '../../files/exists.ts'
import { hostsFile, mappingsOf, readHostsIfThere } from '../../hosts/hosts-file.ts'
import { isLocked } from '../../files/lock.ts'
import { daemonLock, readRunFile } from '../../home/run-file.ts'
import { shellWord } from '../../shell-word.ts'
import { shortSerial, type CertificateRecord } from '../../storage/records.ts'
import { finding, type Finding } from '../codes.ts'
import { shortDate } from '../dates.ts'
import type { ShowFinding } from '../findings.ts'
import { describeFinding } from '../messages.ts'
import { explainRecord } from '../show.ts'
import type { Checked, Known } from './check.ts'

/** The most certificates whose files are read, the newest first. */
const mostFiles = 300

/** Finds faults of the certificates in use, and of the scopes that sign them. */
export async function checkCertificates(known: Known): Promise<Checked> {
  const { inventory, scopes, now } = known
  const inUse = renewable(inventory).filter(
    ({ certPath }) => certPath !== null && existsSync(certPath),
  )
  const bun = await known.machine.find('bun')
  const judged = await Promise.all(
    inUse.slice(-mostFiles).map((record) => judgeRecord(record, known, bun !== null)),
  )
  return {
    check: 'certificates',
    subjects: inUse.map(({ certPath }) => certPath ?? ''),
    findings: [
      ...scopes.flatMap((scope) => {
        const warning = expiryWarning(scope, now)
        // A scope that begins later is told as a wrong clock.
        if (warning === null || scope.validity.notBefore > now) return []
        const [sentence = '', command = ''] = warning.split(/ To replace it without a gap: /)
        return [finding('issuer-ends-soon', scope.name, { sentence, command })]
      }),
      ...findOutdated(scopes, inUse).scopes.map(({ name }) =>
        finding('outdated-issuer', name, { scope: name }),
      ),
      ...judged.flat(),
      ...(await judgeDaemon(known, inUse)),
      ...judgeHosts(inUse, known.world.env),
    ],
  }
}

async function judgeRecord(
  record: CertificateRecord,
  known: Known,
  bun: boolean,
): Promise<Finding[]> {
  const { now, scopes, inventory } = known
  const { certPath, notAfter, serialNumber, identifiers, purpose } = record
  const what = certPath ?? ''
  const renewal = {
    what,
    until: shortDate(new Date(notAfter)),
    command: `rootling renew ${shortSerial(record)}`,
  }
  const fix = { action: 'renew', serialNumber } as const
  // It is of the future, or the clock is wrong, which is told elsewhere.
  if (Date.parse(record.notBefore) > now.getTime()) return []
  if (Date.parse(notAfter) <= now.getTime()) return [finding('expired', what, renewal, fix)]
  const due = isDue(record, now) ? [finding('due', what, renewal, fix)] : []
  const found = await explainRecord(record, { scopes, inventory, now })
  return [
    ...due,
    ...found.flatMap((each) => ofCertificate(what, each, bun) ?? []),
    ...(purpose === 'server' ? missingAddress(what, identifiers) : []),
  ]
}

/**
 * Returns the finding for a fault of a certificate that keeps it from working; `null`: it is a fault
 * for few clients, which `show` tells.
 */
export function ofCertificate(what: string, fault: ShowFinding, bun: boolean): Finding | null {
  const { sentence, remedy } = describeFinding(fault)
  const words = { what, sentence, remedy }
  switch (fault.code) {
    case 'missing-intermediate':
      return finding('chain-incomplete', what, words)
    case 'outside-constraints':
      return finding('outside-constraints', what, words)
    case 'bare-wildcard':
      return finding('wildcard-too-wide', what, words)
    case 'ip-under-constraints':
      return bun ? finding('ip-leaf-in-bun', what, { what }) : null
    default:
      return null
  }
}

/** Finds the address of a network that this machine had when the certificate was issued. */
function missingAddress(what: string, identifiers: CertificateRecord['identifiers']): Finding[] {
  const own = Object.values(networkInterfaces()).flatMap((rows) => rows ?? [])
  const outside = own.filter(({ internal, family }) => !internal && family === 'IPv4')
  const now = (outside.find(({ address }) => isPrivate(address)) ?? outside[0])?.address
  const named = identifiers.flatMap(({ type, value }) => (type === 'ip' ? [value] : []))
  const lan = named.filter(isPrivate)
  const isHere = (value: string): boolean => own.some(({ address }) => address === value)
  if (now === undefined || lan.length === 0 || lan.some(isHere)) return []
  const others = identifiers.filter(({ value }) => !lan.includes(value)).map(({ value }) => value)
  const names = [...others, ...(isPrivate(now) ? [now] : [])]
  return [
    finding('name-missing', what, {
      what,
      name: `${now}, this machine's address now; it names ${lan.join(', ')}`,
      remedy: `rootling issue ${(names.length === 0 ? ['localhost'] : names).map((name) => shellWord(name)).join(' ')}`,
    }),
  ]
}

const isPrivate = (address: string): boolean =>
  /^(?:10|192\.168|172\.(?:1[6-9]|2\d|3[01]))\./.test(address)

/** Finds a daemon that was started and killed, and certificates that name its URL in vain. */
async function judgeDaemon(
  { world: { state } }: Known,
  inUse: readonly CertificateRecord[],
): Promise<Finding[]> {
  const left = await readRunFile(state).catch(() => null)
  if (isLocked(state, daemonLock)) return []
  const served = await servedRevocationUrl(state).catch(() => null)
  const unanswered = inUse.filter((record) => unansweredUrl(record, served) !== null)
  if (left === null && unanswered.length === 0) return []
  const url = unanswered[0]?.revocationUrl ?? null
  return [finding('daemon-down', 'the daemon', { url, count: unanswered.length })]
}

/** Finds lines of the hosts file that lead the names of certificates away from this machine. */
function judgeHosts(inUse: readonly CertificateRecord[], env: Known['world']['env']): Finding[] {
  const names = inUse.flatMap(({ identifiers }) =>
    identifiers.flatMap(({ type, value }) => (type === 'dns' ? [value] : [])),
  )
  const file = hostsFile(env)
  const own = ownAddresses()
  return mappingsOf(readHostsIfThere(file), names)
    .filter(({ address }) => !isOwn(address, own))
    .map(({ name, address }) => finding('hosts-drift', name, { name, address, file }))
}

/** Returns the addresses of this machine. */
export const ownAddresses = (): ReadonlySet<string> =>
  new Set(
    Object.values(networkInterfaces()).flatMap((rows) =>
      (rows ?? []).map(({ address }) => address),
    ),
  )

/** Whether an address leads to this machine. */
export const isOwn = (address: string, own: ReadonlySet<string>): boolean =>
  own.has(address) || /^127\.|^::1$|^0\.0\.0\.0$|^::$/.test(address)
