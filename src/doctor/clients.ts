import { certificatesIn } from '../../platform/pem.ts'
import { allFormsOf } from '../../platform/trust-store.ts'
import { RootlingError } from '../errors.ts'
import { commandForEnv } from '../runtimes/shells.ts'
import { anchorOf } from '../trust/machine-stores.ts'
import type { Known } from './checks/check.ts'
import { readSmall, rootsInDirectory } from './checks/read.ts'
import type { ShowFinding } from './findings.ts'
import { javaTrustStore, rootsForJava, type JavaTrustStore } from './java-options.ts'
import { describeFinding } from './messages.ts'
import { readsSystemStore, rootVariables } from './settings.ts'

/** What one kind of client makes of a certificate. */
export interface ClientVerdict {
  readonly client: string
  /** `null`: no such client's store is on this machine. */
  readonly accepts: boolean | null
  /** Why it refuses, in sentences. */
  readonly why: readonly string[]
}

/** The root above a served certificate. */
export interface ServedRoot {
  /** The scope here that it belongs to; `null`: none. */
  readonly scope: string | null
  readonly isPublic: boolean
  /** The IDs of the stores that hold the root of another authority. */
  readonly heldBy: readonly string[]
  /** The DER of the roots of others that the stores hold and that are above the certificate. */
  readonly foreign: readonly Buffer[]
}

/** A verdict, and what is to be done about one that refuses. */
export interface JudgedClient extends ClientVerdict {
  /**
   * Why it refuses: it lacks the root, which for `told` another check says too, or the certificate
   * has a fault; `null`: it does not refuse.
   */
  readonly cause: 'root' | 'told' | 'certificate' | null
  readonly command: string
}

interface Kind {
  readonly client: string
  /** The words for this kind in `rejectedBy` of messages.ts. */
  readonly words: RegExp
  /** The stores that it reads; `null`: none, or more than stores. */
  readonly reads: RegExp | null
  /** The variables by which it is given roots beside those of its store. */
  readonly variables: readonly string[]
  /** The variables by which it is given other roots than those of the system. */
  readonly instead?: Instead
  /** The programs one of which is on every machine with such a client; absent: its stores tell. */
  readonly programs?: readonly string[]
}

/** The variables that replace the roots of the system for a kind of client. */
interface Instead {
  /** Those that name a file; the first that is set counts. */
  readonly file: readonly string[]
  /** The one that names directories, with colons between. */
  readonly directories: string
  /** Whether all connections fail where the file cannot be read. */
  readonly needsFile?: true
  /** Whether only one variable is read: the first file, else the directories, else the next file. */
  readonly onlyOne?: true
  /** Whether it reads every file of a directory, and not only those that OpenSSL's hashes name. */
  readonly anyName?: true
  /** Whether it reads no file of the system where the system has a directory of hashed names. */
  readonly eitherDefault?: true
}

const ofOpenssl: Instead = { file: ['SSL_CERT_FILE'], directories: 'SSL_CERT_DIR' }

const firefox = /^firefox-|^nss:\/.*(?:mozilla|firefox|librewolf|zen|waterfox|floorp)/

/** One row for each kind of client. */
const kinds: readonly Kind[] = [
  {
    client: 'Chromium, Chrome, Edge',
    words: /browsers|Chromium/,
    reads: process.platform === 'linux' ? /^nss:\/.*pki\/nssdb/ : /^system:/,
    variables: [],
  },
  {
    client: 'Firefox',
    words: /browsers|Firefox/,
    reads: process.platform === 'linux' ? firefox : /^system:/,
    variables: [],
  },
  {
    client: 'curl',
    words: /OpenSSL|curl/,
    reads: /^system:/,
    variables: [],
    instead: {
      file: ['CURL_CA_BUNDLE', 'SSL_CERT_FILE'],
      directories: 'SSL_CERT_DIR',
      needsFile: true,
      onlyOne: true,
    },
    programs: ['curl'],
  },
  {
    client: 'OpenSSL, Python, Ruby',
    words: /OpenSSL|Python/,
    reads: /^system:/,
    variables: [],
    instead: ofOpenssl,
    programs: ['openssl', 'python3', 'ruby'],
  },
  {
    client: 'git',
    words: /GnuTLS/,
    reads: /^system:/,
    variables: [],
    instead: {
      file: ['GIT_SSL_CAINFO'],
      directories: 'GIT_SSL_CAPATH',
      needsFile: true,
      eitherDefault: true,
    },
    programs: ['git'],
  },
  // Built with GnuTLS, as mostly, it reads no variable.
  { client: 'wget', words: /GnuTLS/, reads: /^system:/, variables: [], programs: ['wget'] },
  {
    client: 'Go',
    words: /\bGo\b/,
    reads: /^system:/,
    variables: [],
    // On macOS and Windows it asks the system, and reads no variable.
    ...(/^(?:darwin|win32)$/.test(process.platform)
      ? {}
      : { instead: { ...ofOpenssl, anyName: true } }),
    programs: ['go'],
  },
  { client: 'Java', words: /Java/, reads: /^java:/, variables: [] },
  {
    client: 'Node',
    words: /Node/,
    reads: null,
    variables: ['NODE_EXTRA_CA_CERTS'],
    programs: ['node'],
  },
  {
    client: 'Bun',
    words: /Bun/,
    reads: /^system:/,
    variables: ['NODE_EXTRA_CA_CERTS'],
    programs: ['bun'],
  },
]

/** The faults of the chain that the trust of a store decides. */
const ofTrust = new Set<ShowFinding['code']>(['unknown-issuer', 'self-signed'])

/**
 * Says for each kind of client whether it takes a served certificate, and why not. One that would
 * refuse it and is not on this machine has no verdict.
 */
export async function clientVerdicts(
  faults: readonly ShowFinding[],
  root: ServedRoot,
  known: Known,
): Promise<JudgedClient[]> {
  return Promise.all(
    kinds.map(async (kind) => {
      const why = faults
        .filter(({ code }) => !ofTrust.has(code))
        .map(describeFinding)
        .filter(({ rejectedBy }) => /every client/.test(rejectedBy) || kind.words.test(rejectedBy))
        .map(({ sentence }) => sentence)
      const stored = await trustOf(kind, root, known)
      const given = root.isPublic ? null : await givenInstead(kind, stored, root, known)
      const trust = given === null ? stored : given.accepts ? 'yes' : 'no'
      const { client, reads } = kind
      const blamed = given?.accepts === false ? given.variable : null
      const installs = reads === null ? commandForEnv(known.world.env) : 'rootling install'
      const command = blamed === null ? installs : `unset ${blamed}`
      const lacks = given?.accepts === false ? given.sentence : untrusted(kind, known)
      const all = trust === 'yes' ? why : [...why, lacks]
      const isHere = trust !== 'unknown' && (all.length === 0 || (await isOnMachine(kind, known)))
      if (!isHere) return { client, accepts: null, why: [], cause: null, command }
      const isTold =
        blamed === null
          ? isToldByStores(kind, root, known)
          : rootVariables.some(({ name }) => name === blamed)
      const isNew = trust === 'no' && !isTold
      const cause = isNew ? 'root' : why.length > 0 ? 'certificate' : trust === 'no' ? 'told' : null
      return { client, accepts: all.length === 0, why: all, cause, command }
    }),
  )
}

async function isOnMachine({ programs }: Kind, { machine }: Known): Promise<boolean> {
  if (programs === undefined) return true
  const found = await Promise.all(programs.map((program) => machine.find(program)))
  return found.some((path) => path !== null)
}

/** Whether a finding says already that a store of this kind, or of its options, lacks the root. */
function isToldByStores(kind: Kind, root: ServedRoot, known: Known): boolean {
  const scope = known.scopes.find(({ name }) => name === root.scope)
  if (scope === undefined || kind.reads === null) return false
  if (optionsOf(kind, known) !== null) return !known.untrusted.includes(scope.name)
  const name = anchorOf(scope).name
  return known.outcomes.some(
    ({ store: { id }, outcome, anchor }) =>
      kind.reads?.test(id) === true &&
      (anchor === null || anchor === name) &&
      ['not-trusted', 'failed'].includes(outcome),
  )
}

/** Returns the keystore that options give to Java; `null`: none, or another kind of client. */
const optionsOf = ({ client }: Kind, { world: { env }, cwd }: Known): JavaTrustStore | null =>
  client === 'Java' ? javaTrustStore(env, cwd) : null

function untrusted(kind: Kind, known: Known): string {
  const options = optionsOf(kind, known)
  if (options !== null) return `${options.variable} names a keystore that lacks the root.`
  if (kind.reads !== null) return 'Its store does not trust the root.'
  return 'No variable gives it the root.'
}

async function trustOf(
  kind: Kind,
  root: ServedRoot,
  known: Known,
): Promise<'yes' | 'no' | 'unknown'> {
  if (root.isPublic) return 'yes'
  const { reads, variables } = kind
  const scope = known.scopes.find(({ name }) => name === root.scope)
  const { env } = known.world
  for (const name of variables)
    if (scope !== undefined && (await holds(env[name], anchorOf(scope).der))) return 'yes'
  const store = reads ?? (readsSystemStore('NODE_EXTRA_CA_CERTS', env) ? /^system:/ : null)
  if (store === null) return 'no'
  const stores = known.outcomes.filter(
    ({ store: { id }, outcome }) => store.test(id) && outcome !== 'skipped',
  )
  if (stores.length === 0) return 'unknown'
  const options = optionsOf(kind, known)
  if (options !== null) {
    const wanted = scope === undefined ? root.foreign : [anchorOf(scope).der]
    const held = await rootsForJava(options, known).catch(unlessUnreadable)
    return held.some((der) => wanted.some((each) => each.equals(der))) ? 'yes' : 'no'
  }
  const name = scope === undefined ? null : anchorOf(scope).name
  const trusts = stores.some(({ store: { id }, outcome, anchor }) =>
    name === null ? root.heldBy.includes(id) : outcome === 'trusted' && anchor === name,
  )
  return trusts ? 'yes' : 'no'
}

/** What variables say in place of the system's roots; `sentence` says why it refuses. */
type Given =
  | { readonly accepts: true }
  | { readonly accepts: false; readonly variable: string; readonly sentence: string }

/** The directories of the system in which OpenSSL and others find roots by hashed names. */
const hashedDirectories = ['/etc/ssl/certs', '/etc/pki/tls/certs']

/**
 * Judges a client by the variables that name other roots than those of the system; `null`: none is
 * set, or they change nothing about what its store says. A variable for a file leaves the directory
 * of the system in use, and one for directories leaves the file in use.
 */
async function givenInstead(
  { instead }: Kind,
  stored: 'yes' | 'no' | 'unknown',
  root: ServedRoot,
  known: Known,
): Promise<Given | null> {
  if (instead === undefined) return null
  const { env } = known.world
  const { file, directories } = readBy(instead, env)
  if (file === undefined && directories === undefined) return null
  const scope = known.scopes.find(({ name }) => name === root.scope)
  const wanted =
    scope === undefined ? root.foreign : allFormsOf(anchorOf(scope)).map(({ der }) => der)
  const has = (ders: readonly Buffer[]): boolean =>
    ders.some((der) => wanted.some((each) => each.equals(der)))
  const inDirectory = async (path: string, anyName: boolean): Promise<boolean> =>
    has(await rootsInDirectory(path, anyName))
  const refuses = (variable: string, what: string): Given => ({
    accepts: false,
    variable,
    sentence: `${variable} names ${env[variable]}, ${what}. To use the roots of the system: unset ${variable}`,
  })
  if (file !== undefined) {
    const ders = certificatesIn((await readSmall(env[file] ?? '')) ?? '')
    if (has(ders)) return { accepts: true }
    if (instead.needsFile === true && ders.length === 0)
      return refuses(file, 'from which no certificate can be read')
  }
  for (const path of (env[directories ?? ''] ?? '').split(':').filter(Boolean))
    if (await inDirectory(path, instead.anyName === true)) return { accepts: true }
  if (stored !== 'yes') return null
  const found = await Promise.all(hashedDirectories.map((path) => inDirectory(path, false)))
  const hasDirectory = found.includes(true)
  const keepsFile = file === undefined && !(instead.eitherDefault === true && hasDirectory)
  if (keepsFile || (directories === undefined && hasDirectory)) return null
  return refuses(file ?? directories ?? '', 'which lacks the root')
}

/** Returns the names of the variables that a client reads, of those that are set. */
function readBy(
  { file, directories, onlyOne }: Instead,
  env: Known['world']['env'],
): { readonly file: string | undefined; readonly directories: string | undefined } {
  const isSet = (name: string): boolean => (env[name] ?? '') !== ''
  const first = file.find(isSet)
  const found = isSet(directories) ? directories : undefined
  if (onlyOne !== true || first === undefined || found === undefined)
    return { file: first, directories: found }
  return first === file[0]
    ? { file: first, directories: undefined }
    : { file: undefined, directories: found }
}

function unlessUnreadable(error: unknown): Buffer[] {
  if (error instanceof RootlingError) return []
  throw error
}

async function holds(file: string | undefined, der: Buffer): Promise<boolean> {
  if (file === undefined) return false
  return certificatesIn((await readSmall(file)) ?? '').some((each) => each.equals(der))
}
