import { checkPermit, permitsAll } from '../../authority/create.ts'
import { localConstraints } from '../../x509/name-constraints.ts'
import { shellWord } from '../../shell-word.ts'
import { settled, type Danger, type PlannedStep, type Work } from '../step.ts'
import { isPrivileged, refuseFailures, titlesOf } from './authority.ts'

/** Whether every Rootling authority may sign these domains and ranges. */
const isLocal = (permitted: readonly string[]): boolean =>
  permitsAll({ use: 'servers', constraints: localConstraints }, permitted)

/** Plans a scope for the names of `permit`, unless one permits them all already. */
export async function planPermit({
  wanted,
  world,
  options,
  scopes,
  trust,
}: Work): Promise<PlannedStep[]> {
  const { permitted: names } = checkPermit({ permit: wanted.permit })
  const command = `rootling ca permit ${names.map((name) => shellWord(name)).join(' ')}`
  const step = { code: 'permit', subject: names.join(', '), command } as const
  if (isLocal(names)) return [settled(step)]
  const danger: Danger = {
    kind: 'permit',
    text: `let this machine's authority sign ${names.join(', ')}, and all names below, and trust that here`,
  }
  const uses = [{ kind: 'permit', names }] as const
  if (scopes.some((scope) => permitsAll(scope, names)))
    return [settled(step, { dangers: [danger], uses })]
  const titles = titlesOf(trust)
  const trusted = titles === '' ? '' : `, and is to be trusted by ${titles}`
  const detail = `A scope of its own is made, which may sign these names and all below them${trusted}.`
  return [
    {
      step: { ...step, outcome: 'would-change', privileged: isPrivileged(trust, true), detail },
      dangers: [danger],
      done: uses,
      uses,
      apply: async () => {
        const { permitNames } = await import('../../trust/install.ts')
        const { scopes: made, outcomes } = await permitNames(world, options, { permit: names })
        refuseFailures(outcomes)
        return `The scope ${made.map(({ name }) => name).join(', ')} may sign them.`
      },
    },
  ]
}
