import { X509Certificate } from 'node:crypto'
import { fingerprintOf } from '../../../platform/pem.ts'
import type { HeldRoot, TrustStore } from '../../../platform/trust-store.ts'
import { isTrusted } from '../../authority/scope.ts'
import { askEach } from '../../trust/ask-each.ts'
import { rootsOfOthers, type RootsOfOthers } from '../../trust/roots-of-others.ts'
import { findStaleRoots, type StaleRoot } from '../../trust/stale-roots.ts'
import { freeTypes, limitsOf } from '../../x509/free-types.ts'
import { inspectCertificate, type CertificateFacts } from '../../x509/inspect.ts'
import { shortDate } from '../dates.ts'
import { finding, type Finding } from '../codes.ts'
import { otherTools, type Tool } from '../other-tools.ts'
import type { Checked, Known } from './check.ts'

/** Finds roots in stores that no authority stands behind any more, ours and those of other tools. */
export async function checkRoots(known: Known): Promise<Checked> {
  const held = await askEach(known.stores, async (store) => ({
    store,
    roots: await rootsIn(store),
  }))
  const [own, others] = await Promise.all([
    staleOwn(known),
    Promise.all(otherTools.map((tool) => ofTool(tool, held, known))),
  ])
  return {
    check: 'roots of other tools',
    subjects: otherTools.map(({ name }) => name),
    findings: [...own, ...others.flat()],
  }
}

interface Held {
  readonly store: TrustStore
  readonly roots: readonly HeldRoot[]
}

const rootsIn = async (store: TrustStore): Promise<readonly HeldRoot[]> =>
  store.heldRoots?.().catch(() => []) ?? []

/** Finds roots of Rootling that no authority of this person explains. */
async function staleOwn(known: Known): Promise<Finding[]> {
  const { stores, scopes, world, outcomes } = known
  const stale = await findStaleRoots(world.state, stores)
  const lacks = (store: TrustStore): boolean =>
    outcomes.some((each) => each.store.id === store.id && each.outcome === 'not-trusted')
  const mismatched = stores.filter(
    (store) => lacks(store) && stale.some((root) => root.stores.includes(store)),
  )
  const none = { fingerprints: new Set<string>(), unknown: false }
  const others = stale.length === 0 ? none : await rootsOfOthers(known.machine.person)
  return [
    ...(scopes.some(isTrusted) ? mismatched : []).map((store) =>
      finding(
        'root-mismatch',
        store.title,
        { store: store.title, authority: 'Rootling', command: 'rootling install' },
        { action: 'install' },
      ),
    ),
    ...stale.map((root) => judgeStale(root, known, others)),
  ]
}

/** Judges a root of Rootling that no authority of this person has. */
export function judgeStale(
  { anchor: { name, der, fingerprint }, stores }: StaleRoot,
  { now, outcomes }: Known,
  { fingerprints, unknown }: RootsOfOthers,
): Finding {
  const details = {
    root: `the root ${name}`,
    stores: stores.map(({ title }) => title).join(', '),
    command: `rootling untrust ${fingerprint}`,
  }
  const facts = parsed(der)
  const free = facts === null || freeTypes(facts.nameConstraints).length > 0
  const isInOrder = !free && facts.ca && facts.notBefore <= now && facts.notAfter >= now
  // What only this person's programs read, no other user needs there. A store that lacks the root of
  // this person holds what is left of an older authority.
  const isOfAnother =
    (unknown || fingerprints.has(fingerprint)) &&
    stores.every(
      ({ id, kind }) =>
        kind !== 'nss' &&
        outcomes.some(({ store, outcome }) => store.id === id && outcome === 'trusted'),
    )
  if (isOfAnother && isInOrder)
    return finding('root-of-another-user', name, {
      ...details,
      owned: fingerprints.has(fingerprint),
    })
  const why =
    facts === null
      ? 'it cannot be read'
      : facts.notAfter < now
        ? `it ended on ${shortDate(facts.notAfter)}`
        : free
          ? 'no authority of yours has it, and it is unconstrained'
          : 'no authority of yours has it; it may be another user’s'
  return finding('stale-root', name, { ...details, why })
}

/** Judges the roots of one other tool. */
async function ofTool(tool: Tool, held: readonly Held[], known: Known): Promise<Finding[]> {
  const found = new Map<string, { der: Buffer; stores: string[]; removals: Set<string> }>()
  for (const { store, roots } of held)
    for (const { der, removal } of roots) {
      // Most roots are the public ones, which would take long to parse.
      if (!der.includes(tool.text)) continue
      const key = fingerprintOf(der)
      const entry = found.get(key) ?? { der, stores: [], removals: new Set<string>() }
      if (!entry.stores.includes(store.title)) entry.stores.push(store.title)
      entry.removals.add(removal)
      found.set(key, entry)
    }
  if (found.size === 0) return []
  const kept = await tool.kept(known.world.env, known.machine.person)
  const findings: Finding[] = []
  for (const { der, stores, removals } of found.values()) {
    const facts = parsed(der)
    if (facts === null || !tool.isRoot(facts)) continue
    const root = `the root of ${tool.name} (${facts.commonNames[0] ?? facts.subject})`
    const names = stores.join(', ')
    const stale = (why: string): void =>
      void findings.push(
        finding('stale-root', root, {
          root,
          stores: names,
          why,
          command: [...removals].join(' && '),
        }),
      )
    if (facts.notAfter < known.now) stale(`it ended on ${shortDate(facts.notAfter)}`)
    else if (kept !== null && !kept.has(sha1Of(der))) {
      const holdsNew = [...found.values()].some((each) => kept.has(sha1Of(each.der)))
      stale(
        kept.size === 0
          ? `${tool.name} has no such root any more`
          : `${tool.name} has made another since`,
      )
      if (kept.size > 0 && !holdsNew)
        findings.push(
          finding('root-mismatch', tool.name, {
            store: names,
            authority: tool.name,
            command: tool.again,
          }),
        )
    } else if (facts.ca && limitsOf(der).free.length > 0)
      findings.push(
        finding('unconstrained-root', root, {
          root: `The${root.slice(3)}`,
          stores: names,
          remedy: `Where you need ${tool.name} no more: ${[...removals].join(' && ')}`,
        }),
      )
  }
  return findings
}

const sha1Of = (der: Buffer): string =>
  new X509Certificate(der).fingerprint.replaceAll(':', '').toUpperCase()

function parsed(der: Buffer): CertificateFacts | null {
  try {
    return inspectCertificate(der)
  } catch {
    return null
  }
}
