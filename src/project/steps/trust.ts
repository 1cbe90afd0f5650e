import type { X509Certificate } from 'node:crypto'
import { join } from 'node:path'
import { createAnchor } from '../../../platform/pem.ts'
import { readRoot } from '../../authority/adopt.ts'
import { permitsAll } from '../../authority/create.ts'
import { RootlingError } from '../../errors.ts'
import type { Owner } from '../../files/owner.ts'
import { readOwnCertificate } from '../../files/read.ts'
import { quotedPath, shellWord } from '../../shell-word.ts'
import { anchorOf } from '../../trust/machine-stores.ts'
import { limitsOf, whyUncritical } from '../../x509/free-types.ts'
import { inspectCertificate } from '../../x509/inspect.ts'
import { localConstraints, widen } from '../../x509/name-constraints.ts'
import { fingerprintOf } from '../../x509/parsed-certificate.ts'
import { refusePlace } from '../inside.ts'
import type { WantedRoot } from '../read.ts'
import { impossible, settled, type Danger, type PlannedStep, type Work } from '../step.ts'
import { isPrivileged, needsChange, refuseFailures, titlesOf } from './authority.ts'

/** Reads a root that the file names, and returns why it cannot be trusted where that is so. */
export async function readWantedRoot(
  directory: string,
  { root: path, fingerprint }: WantedRoot,
  now: Date,
  owner: Owner | null,
): Promise<X509Certificate | RootlingError> {
  try {
    refusePlace(directory, path, owner)
    const contents = await readOwnCertificate(join(directory, path), owner)
    if (contents === null)
      return new RootlingError('file-unreadable', `There is no file ${join(directory, path)}.`, {
        hint: 'Ask the teammate whose root it is for the file: rootling ca export',
      })
    const root = readRoot(contents, path, now)
    if (fingerprintOf(root) === fingerprint) return root
    return new RootlingError(
      'not-trusted',
      `${quotedPath(path)} is another root than rootling.json says: its fingerprint is ${fingerprintOf(root)}, not ${fingerprint}.`,
      { hint: 'Ask the teammate whose root it is which one is right' },
    )
  } catch (error) {
    if (error instanceof RootlingError) return error
    throw error
  }
}

/** Plans that the stores trust the roots of teammates. */
export async function planTrust(work: Work): Promise<PlannedStep[]> {
  return work.wanted.trust.map((wanted, i) => {
    const root = work.roots[i]
    const step = {
      code: 'trust',
      subject: wanted.root,
      command: `rootling trust ${shellWord(wanted.root)} --fingerprint ${wanted.fingerprint}`,
    } as const
    if (root === undefined || root instanceof RootlingError)
      return impossible(step, root ?? new Error(`${wanted.root} was not read.`))
    return planRoot(work, wanted, root, step)
  })
}

function planRoot(
  { scopes, trust, world, options, project }: Work,
  { root: path, fingerprint, names }: WantedRoot,
  root: X509Certificate,
  step: { readonly code: 'trust'; readonly subject: string; readonly command: string },
): PlannedStep {
  const isOwn = scopes.some((scope) => anchorOf(scope).fingerprint === fingerprint)
  if (isOwn) return settled({ ...step, detail: 'It is the own root.' })
  const anchor = createAnchor(root.raw)
  const held = trust.filter(
    ({ anchor: name, store }) => (name === null || name === anchor.name) && store.kind !== 'java',
  )
  const lacking = held.filter(needsChange)
  const { free, uncritical } = limitsOf(root.raw)
  const beyond = free.length > 0 ? [] : namesBeyond(root, names)
  if (beyond.length > 0)
    return impossible(
      step,
      new RootlingError(
        'not-trusted',
        `${path} may sign ${beyond.join(', ')}, which is not among its names in rootling.json.`,
        { hint: 'Add them to the names of the root, if the team agrees to that' },
      ),
    )
  const may =
    free.length > 0
      ? `ANY name or address, such as that of a bank${uncritical ? `: ${whyUncritical}` : ''}`
      : `local names${names.length === 0 ? '' : `, ${names.join(', ')} and all below`}`
  const danger: Danger = {
    kind: 'trust',
    text: `trust the root ${quotedPath(path)} of another authority, with the fingerprint ${fingerprint}, which may sign ${may}`,
    fingerprint,
    ...(free.length > 0 ? { namedOnly: true } : {}),
  }
  const uses = [{ kind: 'trust', fingerprint }] as const
  if (lacking.length === 0) return settled(step, { dangers: [danger], uses })
  return {
    step: {
      ...step,
      outcome: 'would-change',
      privileged: isPrivileged(held),
      detail: `It is to be trusted by ${titlesOf(lacking)}.`,
    },
    dangers: [danger],
    done: uses,
    uses,
    apply: async () => {
      const { trustForeignRoot } = await import('../../trust/foreign-root.ts')
      // The certificate that was checked is installed, whatever is in the file by now.
      const { outcomes } = await trustForeignRoot(world, options, {
        contents: root.raw,
        source: path,
        from: join(project.directory, path),
        fingerprint,
        unconstrained: free.length > 0,
      })
      refuseFailures(outcomes)
      return `It is trusted by ${titlesOf(outcomes)}.`
    },
  }
}

/** Returns what a root may sign besides the local names and those that the file names. */
function namesBeyond(root: X509Certificate, names: readonly string[]): string[] {
  const { nameConstraints } = inspectCertificate(root.raw)
  const limits = {
    use: 'servers',
    constraints: widen(localConstraints, plainNames(names)),
  } as const
  return (nameConstraints?.permitted ?? [])
    .filter(({ type }) => type === 'dns' || type === 'ip')
    .map(({ value }) => value.replace(/^\./, '').toLowerCase())
    .filter((value) => !isWithin(limits, value))
}

function isWithin(limits: Parameters<typeof permitsAll>[0], value: string): boolean {
  try {
    return permitsAll(limits, [value])
  } catch {
    // What cannot be understood is within no limits.
    return false
  }
}

const plainNames = (names: readonly string[]): string[] =>
  names.map((name) => name.replace(/^\*?\./, '').toLowerCase())
