import { X509Certificate } from 'node:crypto'
import { networkInterfaces } from 'node:os'
import { certificatesIn, fingerprintOf } from '../../../platform/pem.ts'
import { covers } from '../../authority/coverage.ts'
import { isTrusted, rootForOpenssl } from '../../authority/scope.ts'
import { servedRevocationUrl } from '../../certificates/revocation-url.ts'
import { probe, resolveAll, type Probe } from '../../client/probe.ts'
import type { Target } from '../../client/target.ts'
import { RootlingError } from '../../errors.ts'
import { shortened } from '../../printable.ts'
import { shellWord } from '../../shell-word.ts'
import { readInventoryOf } from '../../storage/files/record.ts'
import { shortSerial, type CertificateRecord, type Inventory } from '../../storage/records.ts'
import { parseIdentifier } from '../../x509/identifier.ts'
import { isIssuedBy } from '../../x509/parsed-certificate.ts'
import { clientVerdicts, type ClientVerdict, type ServedRoot } from '../clients.ts'
import { finding, type Finding } from '../codes.ts'
import { shortDate } from '../dates.ts'
import type { ShowFinding } from '../findings.ts'
import { describeFinding } from '../messages.ts'
import { explainServed, isPublic, type ShownCertificate } from '../show.ts'
import { rememberedHsts } from './browsers.ts'
import { isOwn, ofCertificate, ownAddresses } from './certificates.ts'
import type { Checked, Known } from './check.ts'
import { readSmall } from './read.ts'

/** What one address of a server answered, with and without the name of the host in the handshake. */
interface Handshake {
  readonly address: string
  readonly serverName: string | null
  readonly outcome: Probe['outcome']
  /** SHA-256 of the leaf; `null`: none was shown. */
  readonly fingerprint: string | null
  /** Why OpenSSL refuses it where it trusts all roots that are known here; `null`: it does not. */
  readonly refusal: string | null
}

export interface CheckedServer extends Checked {
  readonly url: string
  readonly handshakes: readonly Handshake[]
  /** What each kind of client makes of the certificate; empty: none was shown. */
  readonly clients: readonly ClientVerdict[]
}

/** The most addresses of a name that are tried. */
const mostAddresses = 8

/**
 * Makes handshakes with a server, at each of its addresses, with the name of the host and without
 * it, and finds what clients refuse. What the server says is not trusted.
 */
export async function checkServer(target: Target, known: Known): Promise<CheckedServer> {
  const { host, port, servername, url } = target
  const addresses = (await resolveAll(host)).slice(0, mostAddresses)
  const held = await heldRoots(known)
  const ca = [
    ...known.scopes.filter(isTrusted).map((scope) => rootForOpenssl(scope).pem),
    ...held.map(({ certificate }) => certificate.toString()),
  ]
  const names = servername === '' ? [''] : [servername, '']
  const probes = await Promise.all(
    addresses.flatMap((address) =>
      names.map(async (name) => ({ address, name, ...(await probe(address, port, name, ca)) })),
    ),
  )
  const ours = isOurs(host, known)
  const main = probes.filter(({ name }) => name === servername)
  const served = main.find(({ chain }) => chain.length > 0)
  const judged =
    served === undefined
      ? { findings: [], clients: [] }
      : await judgeServed(served, target, { known, held, ours })
  const findings = [
    ...judgeAddresses(target, addresses, ours),
    ...judgeListening(target, main),
    ...judged.findings,
    ...(ours ? await rememberedHsts(known, [host]) : []),
  ]
  return {
    check: 'server',
    subjects: [url.href],
    findings,
    url: url.href,
    handshakes: probes.map(({ address, name, outcome, chain, refusal }) => ({
      address,
      serverName: name === '' ? null : name,
      outcome,
      fingerprint: chain[0] === undefined ? null : fingerprintOf(chain[0].raw),
      refusal,
    })),
    clients: judged.clients,
  }
}

/** A root that a store holds, whoever put it there, and the stores. */
interface HeldBy {
  readonly certificate: X509Certificate
  readonly stores: readonly string[]
}

/** The most roots that are parsed; stores that hold the public ones are left out beyond it. */
const mostRoots = 400

async function heldRoots({ stores }: Known): Promise<HeldBy[]> {
  const found = new Map<string, { der: Buffer; stores: string[] }>()
  for (const store of stores)
    for (const { der } of (await store.heldRoots?.().catch(() => [])) ?? []) {
      const key = fingerprintOf(der)
      const entry = found.get(key) ?? { der, stores: [] }
      entry.stores.push(store.id)
      found.set(key, entry)
    }
  return [...found.values()].slice(0, mostRoots).flatMap(({ der, stores: ids }) => {
    try {
      return [{ certificate: new X509Certificate(der), stores: ids }]
    } catch {
      return []
    }
  })
}

/** Whether a host is one that a constrained scope here may sign, so that it should be served so. */
function isOurs(host: string, { scopes, inventory }: Known): boolean {
  if (namedIn(inventory, host) !== undefined) return true
  try {
    const identifier = parseIdentifier(host)
    return scopes.some(
      (scope) => isTrusted(scope) && scope.constraints !== null && covers(scope, [identifier]),
    )
  } catch {
    return false
  }
}

const namedIn = ({ certificates }: Inventory, host: string): CertificateRecord | undefined =>
  certificates.findLast(({ identifiers }) => identifiers.some(({ value }) => value === host))

function judgeAddresses({ host }: Target, addresses: readonly string[], ours: boolean): Finding[] {
  const own = ownAddresses()
  const elsewhere = addresses.filter((address) => !isOwn(address, own))
  if (addresses.length > 0 && (!ours || elsewhere.length === 0)) return []
  return [finding('resolves-elsewhere', host, { host, addresses: elsewhere })]
}

const hasIpv6 = (): boolean =>
  Object.values(networkInterfaces()).some((rows) => rows?.some(({ address }) => address === '::1'))

function judgeListening(
  { host, port, url }: Target,
  probes: readonly (Probe & { readonly address: string })[],
): Finding[] {
  const where = (address: string): string =>
    address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
  const listening = probes.filter(({ outcome }) => outcome !== 'refused')
  if (probes.length > 0 && listening.length === 0)
    return [finding('not-listening', url.href, { where: `${url.hostname}:${port}` })]
  const silent = probes.some(
    ({ address, outcome }) => address === '::1' && outcome === 'refused' && hasIpv6(),
  )
  const plain = listening.find(({ outcome }) => outcome === 'plain-http')
  const failed = listening.find(({ outcome }) => outcome === 'no-handshake')
  return [
    ...(silent && host !== '::1' ? [finding('ipv6-not-listening', url.href, { host, port })] : []),
    ...(plain === undefined
      ? []
      : [
          finding('plain-http', url.href, {
            where: where(plain.address),
            url: `http://${url.host}${url.pathname}`,
          }),
        ]),
    ...(failed === undefined
      ? []
      : [
          finding('no-handshake', url.href, {
            where: where(failed.address),
            reason: short(failed.refusal ?? 'it shows no certificate'),
          }),
        ]),
  ]
}

interface Context {
  readonly known: Known
  readonly held: readonly HeldBy[]
  readonly ours: boolean
}

async function judgeServed(
  { chain, refusal }: Pick<Probe, 'chain' | 'refusal'>,
  target: Target,
  { known, held, ours }: Context,
): Promise<{ findings: Finding[]; clients: readonly ClientVerdict[] }> {
  const { host, url } = target
  const inventory = await readInventoryOf(
    known.world.state,
    chain.map(({ raw }) => fingerprintOf(raw)),
    { onDamage: () => undefined },
  )
  const served = await servedRevocationUrl(known.world.state).catch(() => null)
  const around = { scopes: known.scopes, inventory, now: known.now, served }
  let shown: readonly ShownCertificate[]
  try {
    shown = explainServed(
      chain.map(({ raw }) => raw),
      host,
      around,
    )
  } catch (error) {
    if (!(error instanceof RootlingError)) throw error
    const words = { what: url.href, sentence: error.message, remedy: 'Issue another certificate' }
    return { findings: [finding('certificate-refused', url.href, words)], clients: [] }
  }
  const [leaf] = shown
  if (leaf === undefined) return { findings: [], clients: [] }
  const last = chain.at(-1)
  const holders = held.filter(({ certificate }) => last !== undefined && isAbove(certificate, last))
  const root: ServedRoot = {
    scope: leaf.scope,
    isPublic: last !== undefined && isPublic(last),
    heldBy: holders.flatMap(({ stores }) => stores),
    foreign: holders.map(({ certificate }) => certificate.raw),
  }
  const isStranger = leaf.scope === null && !root.isPublic && root.heldBy.length === 0
  const faults = leaf.findings.filter(
    ({ code }) =>
      !(code === 'unknown-issuer' && (root.heldBy.length > 0 || (isStranger && ours))) &&
      !(/^(?:self-signed|authority-as-leaf)$/.test(code) && isStranger && ours),
  )
  const bun = (await known.machine.find('bun')) !== null
  const fromFaults = faults.flatMap((fault) => ofServed(fault, leaf, target, bun) ?? [])
  const findings = [
    ...(isStranger ? judgeIssuer(leaf, target, ours) : []),
    ...(await judgeFile(leaf, target, inventory)),
    ...fromFaults,
  ]
  const unexplained = refusal !== null && findings.length === 0 && leaf.scope !== null
  const words = {
    what: url.href,
    sentence: `OpenSSL refuses it: ${short(refusal ?? '')}.`,
    remedy: `rootling show ${url.hostname}:${target.port}`,
  }
  const clients = await clientVerdicts(leaf.findings, root, known)
  // A fault of the certificate is a finding of its own, unless only few clients mind it.
  const refusing = clients.filter(
    ({ cause }) =>
      (cause === 'root' && !isStranger) || (cause === 'certificate' && findings.length === 0),
  )
  return {
    findings: [
      ...findings,
      ...(unexplained ? [finding('certificate-refused', url.href, words)] : []),
      ...refusing.map(({ client, cause, command }) =>
        finding('client-refuses', url.href, {
          client,
          where: url.host,
          command: cause === 'root' ? command : `rootling show ${url.hostname}:${target.port}`,
        }),
      ),
    ],
    clients: clients.map(({ client, accepts, why }) => ({ client, accepts, why })),
  }
}

/** Whether a root is this certificate, or signed it. */
function isAbove(root: X509Certificate, certificate: X509Certificate): boolean {
  try {
    return root.raw.equals(certificate.raw) || isIssuedBy(certificate, root)
  } catch {
    return false
  }
}

/** Programs that open other people's TLS connections, by the names of their roots. */
const inspectors =
  /kaspersky|avast|avg |eset|bitdefender|zscaler|netskope|fortinet|forti|sophos|palo alto|mcafee|symantec|blue ?coat|cisco umbrella|checkpoint|untangle|mitmproxy|charles proxy|fiddler|burp|proxyman|adguard/i

function judgeIssuer({ facts }: ShownCertificate, { host, url }: Target, ours: boolean): Finding[] {
  const issuer = short(facts.selfSigned ? `itself (${facts.subject || 'no name'})` : facts.issuer)
  if (inspectors.test(facts.issuer))
    return [
      finding('proxy-in-the-way', url.href, {
        sentence: `${issuer} opens the connection to ${host} and shows a certificate of its own.`,
        remedy: `Except ${host} in that program`,
      }),
    ]
  return ours ? [finding('served-by-another', url.href, { host, issuer })] : []
}

/** Compares the certificate of a server with the file from which the server should have read it. */
async function judgeFile(
  { record, facts }: ShownCertificate,
  { url }: Target,
  { certificates }: Inventory,
): Promise<Finding[]> {
  const file = record?.certPath ?? null
  if (file === null) return []
  const [der] = certificatesIn((await readSmall(file)) ?? '')
  if (der === undefined || fingerprintOf(der) === facts.fingerprint) return []
  const isNewer = certificates.findLast(({ certPath }) => certPath === file) !== record
  if (!isNewer) return []
  return [finding('served-is-not-on-disk', url.href, { where: url.host, file })]
}

function ofServed(
  fault: ShowFinding,
  leaf: ShownCertificate,
  target: Target,
  bun: boolean,
): Finding | null {
  const { host, url } = target
  const what = `The certificate of ${url.host}`
  const known = ofCertificate(what, withShortTexts(fault), bun)
  if (known !== null) return { ...known, subject: url.href }
  if (fault.code === 'ip-under-constraints') return null
  const { rejectedBy, sentence, remedy } = describeFinding(withShortTexts(fault))
  const { record } = leaf
  switch (fault.code) {
    case 'expired': {
      const command =
        record === null
          ? `rootling issue ${shellWord(host)}`
          : `rootling renew ${shortSerial(record)}`
      return finding('expired', url.href, { what, until: shortDate(fault.notAfter), command })
    }
    case 'host-not-covered':
      return finding('name-missing', url.href, {
        what,
        name: host,
        remedy: remedy.replace(/^.*: /, ''),
      })
    default: {
      // What Apple's systems or the few clients that check a status refuse, `show` tells.
      if (!/every client|browsers|Chromium|Firefox|OpenSSL|clients without/.test(rejectedBy))
        return null
      const words = { what, sentence: `Refused by ${rejectedBy}: ${sentence}`, remedy }
      return finding('certificate-refused', url.href, words)
    }
  }
}

/** The most characters of a text of a stranger. */
const longest = 200

const short = (text: string): string => shortened(text, longest)

/** Returns a fault with the texts of a stranger cut. */
const withShortTexts = (fault: ShowFinding): ShowFinding =>
  Object.fromEntries(
    Object.entries(fault).map(([key, value]) => [
      key,
      typeof value === 'string' ? short(value) : value,
    ]),
  ) as unknown as ShowFinding
