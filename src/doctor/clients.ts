import { certificatesIn } from '../../platform/pem.ts'
import { commandForEnv } from '../runtimes/shells.ts'
import { anchorOf } from '../trust/machine-stores.ts'
import type { Known } from './checks/check.ts'
import { readSmall } from './checks/read.ts'
import type { ShowFinding } from './findings.ts'
import { describeFinding } from './messages.ts'
import { readsSystemStore } from './settings.ts'

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
}

interface Kind {
  readonly client: string
  /** The words for this kind in `rejectedBy` of messages.ts. */
  readonly words: RegExp
  /** The stores that it reads; `null`: none, or more than stores. */
  readonly reads: RegExp | null
  /** The variables by which it is given roots. */
  readonly variables: readonly string[]
}

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
    client: 'curl, OpenSSL, Python, Ruby',
    words: /OpenSSL|curl|Python/,
    reads: /^system:/,
    variables: ['SSL_CERT_FILE'],
  },
  { client: 'Go', words: /\bGo\b/, reads: /^system:/, variables: ['SSL_CERT_FILE'] },
  { client: 'Java', words: /Java/, reads: /^java:/, variables: [] },
  { client: 'Node', words: /Node/, reads: null, variables: ['NODE_EXTRA_CA_CERTS'] },
  { client: 'Bun', words: /Bun/, reads: /^system:/, variables: ['NODE_EXTRA_CA_CERTS'] },
]

/** The faults of the chain that the trust of a store decides. */
const ofTrust = new Set<ShowFinding['code']>(['unknown-issuer', 'self-signed'])

/** Says for each kind of client whether it takes a served certificate, and why not. */
export async function clientVerdicts(
  faults: readonly ShowFinding[],
  root: ServedRoot,
  known: Known,
): Promise<ClientVerdict[]> {
  return Promise.all(
    kinds.map(async (kind) => {
      const why = faults
        .filter(({ code }) => !ofTrust.has(code))
        .map(describeFinding)
        .filter(({ rejectedBy }) => /every client/.test(rejectedBy) || kind.words.test(rejectedBy))
        .map(({ sentence }) => sentence)
      const trust = await trustOf(kind, root, known)
      if (trust === 'unknown') return { client: kind.client, accepts: null, why: [] }
      const all = trust === 'yes' ? why : [...why, untrusted(kind, known)]
      return { client: kind.client, accepts: all.length === 0, why: all }
    }),
  )
}

function untrusted({ reads }: Kind, { world: { env } }: Known): string {
  if (reads !== null) return 'Its store does not trust the root.'
  return `It reads no store: ${commandForEnv(env)}`
}

async function trustOf(
  { reads, variables }: Kind,
  root: ServedRoot,
  known: Known,
): Promise<'yes' | 'no' | 'unknown'> {
  if (root.isPublic) return 'yes'
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
  const name = scope === undefined ? null : anchorOf(scope).name
  const trusts = stores.some(({ store: { id }, outcome, anchor }) =>
    name === null ? root.heldBy.includes(id) : outcome === 'trusted' && anchor === name,
  )
  return trusts ? 'yes' : 'no'
}

async function holds(file: string | undefined, der: Buffer): Promise<boolean> {
  if (file === undefined) return false
  return certificatesIn((await readSmall(file)) ?? '').some((each) => each.equals(der))
}
