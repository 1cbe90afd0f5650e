import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { covers } from '../../authority/coverage.ts'
import { checkPermit } from '../../authority/create.ts'
import { readScopes, readScopesInRotation, type Scope } from '../../authority/scope.ts'
import { issueIfNeeded, keptRecord } from '../../certificates/if-needed.ts'
import type { IssueRequest } from '../../certificates/issue.ts'
import { parseNames } from '../../certificates/names.ts'
import { refuseForeign } from '../../certificates/output-files.ts'
import { RootlingError } from '../../errors.ts'
import { shellWord } from '../../shell-word.ts'
import type { CertificateRecord } from '../../storage/records.ts'
import type { Identifier } from '../../x509/identifier.ts'
import { localConstraints, permits } from '../../x509/name-constraints.ts'
import { placeToWrite, refusePlace } from '../inside.ts'
import type { WantedCertificate } from '../read.ts'
import {
  impossible,
  settled,
  type Danger,
  type PlannedStep,
  type Step,
  type Work,
} from '../step.ts'
import { notIgnored, refuseUnignored } from './ignore.ts'

/** Plans the certificates: each is issued unless its files hold one that is good and as wanted. */
export async function planCertificates(work: Work): Promise<PlannedStep[]> {
  const { state } = work.world
  const scopes = [...(await readScopes(state)), ...(await readScopesInRotation(state))]
  return Promise.all(work.wanted.certificates.map((each) => planCertificate(work, each, scopes)))
}

async function planCertificate(
  work: Work,
  wanted: WantedCertificate,
  scopes: readonly Scope[],
): Promise<PlannedStep> {
  const { project, world } = work
  const { cert, key } = wanted
  const step = { code: 'certificate', subject: cert, command: commandOf(wanted) } as const
  const request = requestOf(work, wanted)
  try {
    for (const path of [cert, key]) refusePlace(project.directory, path, world.state.owner)
    const names = parseNames(wanted.names)
    const dangers = dangersOf(wanted, names)
    if ((await keptOf(work, request)) !== null) return settled(step, { dangers })
    const paths = { certPath: join(project.directory, cert), keyPath: join(project.directory, key) }
    await refuseForeign(world.state, paths, scopes)
    refuseNotPermitted(work, names)
    refuseAfterFailedIgnore(work)
    return {
      step: { ...step, ...needOf(paths), privileged: false },
      dangers,
      done: [{ kind: 'certificate', cert, key }],
      uses: [],
      apply: () => issueInto(work, wanted, request),
    }
  } catch (error) {
    if (!(error instanceof RootlingError)) throw error
    return impossible(step, { ...withoutForce(error), name: error.name })
  }
}

function needOf({ certPath }: { readonly certPath: string }): Pick<Step, 'outcome' | 'detail'> {
  const detail = existsSync(certPath)
    ? 'It is issued anew: it is due or revoked, or not as the file says.'
    : 'It is issued.'
  return { outcome: 'would-change', detail }
}

/** Returns the certificate that is good already; `null`: there is none, for whatever reason. */
async function keptOf({ world }: Work, request: IssueRequest): Promise<CertificateRecord | null> {
  try {
    return await keptRecord(world.state, { ...request, createAuthority: false }, world.now())
  } catch (error) {
    if (error instanceof RootlingError) return null
    throw error
  }
}

function requestOf({ project, world }: Work, wanted: WantedCertificate): IssueRequest {
  const { names, keyType, days, onRenew, cert, key } = wanted
  const { directory } = project
  return {
    names,
    keyType,
    days,
    onRenew: onRenew === undefined ? undefined : inDirectory(directory, onRenew),
    files: {
      outDir: directory,
      certPath: join(directory, cert),
      keyPath: join(directory, key),
    },
    createAuthority: world.state.authority === undefined,
  }
}

/** Makes a shell command run in a directory; renewals start it in the root directory. */
export const inDirectory = (directory: string, command: string): string =>
  process.platform === 'win32'
    ? `cd /d "${directory}" && ${command}`
    : `cd ${shellWord(directory)} || exit 1; ${command}`

function commandOf({ names, cert, key, keyType, days }: WantedCertificate): string {
  return [
    'rootling issue',
    ...names.map((name) => shellWord(name)),
    `--cert-file ${shellWord(cert)} --key-file ${shellWord(key)}`,
    ...(keyType === undefined ? [] : [`--key-type ${keyType}`]),
    ...(days === undefined ? [] : [`--days ${days}`]),
    '--if-needed',
  ].join(' ')
}

const nonLocal = (names: readonly Identifier[]): string[] =>
  names.filter((each) => !permits(localConstraints, each)).map(({ value }) => value)

function dangersOf({ cert, onRenew }: WantedCertificate, names: readonly Identifier[]): Danger[] {
  const outside = nonLocal(names)
  return [
    ...(outside.length === 0
      ? []
      : [{ kind: 'permit', text: `issue ${cert} for ${outside.join(', ')}` } as const]),
    ...(onRenew === undefined
      ? []
      : [{ kind: 'run', text: `run after each renewal of ${cert}: ${onRenew}` } as const]),
  ]
}

/** Throws `bad-project` where the step that would have Git ignore the keys cannot be done. */
function refuseAfterFailedIgnore({ earlier }: Work): void {
  const failed = earlier.find(({ step }) => step.code === 'ignore' && step.outcome === 'failed')
  if (failed !== undefined) throw notIgnored(failed.step.detail ?? '', failed.step.hint)
}

/** Throws `not-permitted` for names that no scope may sign, not even the one that `permit` makes. */
function refuseNotPermitted({ wanted, scopes }: Work, names: readonly Identifier[]): void {
  const outside = nonLocal(names)
  if (outside.length === 0 || scopes.some((scope) => covers(scope, names))) return
  if (wanted.permit.length > 0) {
    const { constraints } = checkPermit({ permit: wanted.permit })
    if (constraints !== null && names.every((name) => permits(constraints, name))) return
  }
  throw new RootlingError(
    'not-permitted',
    `${outside.join(', ')} ${outside.length === 1 ? 'is' : 'are'} outside the names that the authority may sign.`,
    { hint: 'Add the domain to "permit" in rootling.json' },
  )
}

/** Leaves out of a hint what a person would type for `issue`. */
const withoutForce = ({ code, message, hint }: RootlingError) => ({
  message,
  hint:
    code === 'not-ours'
      ? 'Name another path in rootling.json, or move the file away if it is needed no more'
      : hint,
})

async function issueInto(
  { world, project }: Work,
  { cert, key }: WantedCertificate,
  request: IssueRequest,
): Promise<string | undefined> {
  const { state, env, now } = world
  for (const path of [cert, key]) await placeToWrite(project.directory, path, state)
  // The step that adds the lines may have failed.
  await refuseUnignored(project, [key, cert])
  const issued = await issueIfNeeded(state, request, now())
  if ('kept' in issued) return undefined
  const { record, replaced, warnings } = issued
  const until = `It is good until ${record.notAfter.slice(0, 10)}.`
  const said = [until, ...warnings]
  if (!replaced || record.onRenew === undefined) return said.join(' ')
  const { runRenewHooks } = await import('../../certificates/renew-hooks.ts')
  for (const { failure } of await runRenewHooks([record], { env, owner: state.owner }))
    if (failure !== null)
      throw new RootlingError('tool-failed', `${until} Its onRenew command ${failure}`)
  return said.join(' ')
}
