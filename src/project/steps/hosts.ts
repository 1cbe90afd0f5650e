import { isSameEntry, type HostsEntry } from '../../hosts/block.ts'
import { applyHosts, type HostsAccess } from '../../hosts/change.ts'
import { isUnowned } from '../../hosts/host-name.ts'
import { conflictError, planHosts } from '../../hosts/plan.ts'
import { presentAlready, staying } from '../../hosts/shared-lines.ts'
import { RootlingError } from '../../errors.ts'
import type { StoreOptions } from '../../trust/machine-stores.ts'
import type { TrustWorld } from '../../trust/world.ts'
import { parseIdentifier } from '../../x509/identifier.ts'
import { impossible, settled, type Danger, type PlannedStep, type Work } from '../step.ts'

/**
 * Plans the lines of the hosts file, which the project owns: what an earlier version of the file
 * wanted is taken out.
 */
export async function planHostsLines(work: Work): Promise<PlannedStep[]> {
  const { wanted, world, options, project, hostsFile: file } = work
  const names = [...wanted.hosts.keys()]
  const step = { code: 'hosts', subject: names.join(', ') || 'no names any more' } as const
  const dangers = dangersOf(wanted.hosts)
  try {
    const request = { env: world.env, wanted: wanted.hosts, project: project.directory, file }
    const plan = await planHosts(request)
    if (plan.conflicts.length > 0) return [impossible(step, conflictError(plan, request))]
    const { add, remove, shared, privileged } = plan
    if (add.length + remove.length === 0) return [settled(step, { dangers })]
    const sharedOf = (entry: HostsEntry) => shared.find((line) => isSameEntry(line, entry))
    const lines = [
      ...remove.map((entry) => {
        const line = sharedOf(entry)
        return line === undefined ? `-${entry.address} ${entry.name}` : staying(line)
      }),
      ...add.map((entry) => {
        const line = sharedOf(entry)
        return line === undefined ? `+${entry.address} ${entry.name}` : presentAlready(line)
      }),
    ]
    const detail = `In ${plan.file}: ${lines.join(', ')}`
    return [
      {
        step: { ...step, outcome: 'would-change', privileged, detail },
        dangers,
        done: [{ kind: 'hosts' }],
        uses: [],
        apply: async () => {
          await applyHosts(request, hostsAccess(world, options, 'rootling up'))
          return detail
        },
      },
    ]
  } catch (error) {
    if (error instanceof RootlingError) return [impossible(step, error)]
    throw error
  }
}

/**
 * A line that leads a name of nobody to this machine hurts nobody. Any other takes a name from its
 * owner: a site of the internet, or a server of the network at work or at home.
 */
function dangersOf(hosts: Work['wanted']['hosts']): Danger[] {
  return [...hosts]
    .flatMap(([word, addresses]) =>
      [addresses].flat().map((address) => ({ name: parseIdentifier(word).value, address })),
    )
    .filter(({ name, address }) => !isUnowned(name) || !/^(?:127\.|::1$)/.test(address))
    .map(({ name, address }) => ({
      kind: 'hosts',
      // As programs look it up: Unicode has letters that look like others.
      text: `let ${name} lead to ${address} on this machine, whoever owns it elsewhere`,
    }))
}

/** How the hosts file may be changed; `command` does the same with all rights. */
export const hostsAccess = (
  { interactive, report }: TrustWorld,
  { sudo }: StoreOptions,
  command: string,
): HostsAccess => ({
  interactive,
  sudo,
  onPrompt: (sentence) => report({ type: 'password-prompt', sentence }),
  onWait: (what, seconds) => report({ type: 'waiting', what, seconds }),
  command,
})
