import { RootlingError } from '../../errors.ts'
import {
  checkPermitted,
  conflictOf,
  planProjectRoutes,
  readRoutes,
  setProjectRoutes,
} from '../../proxy/kept-routes.ts'
import { everyHost, isOfThisMachine, parseUpstream, type Route } from '../../proxy/routes.ts'
import { appHost, appNaming, type AppNaming } from '../app-name.ts'
import { impossible, settled, type Danger, type PlannedStep, type Work } from '../step.ts'

/**
 * Plans the routes of the proxy, which the project owns: what an earlier version of the file wanted is
 * taken out.
 */
export async function planProxy(work: Work): Promise<PlannedStep[]> {
  const { wanted, world, project, scopes, proxy } = work
  const { state, env } = world
  const naming = await appNaming({ cwd: project.directory, env, owner: state.owner })
  const names = [...wanted.proxy.keys()].join(', ')
  const step = { code: 'proxy', subject: names === '' ? 'no names any more' : names } as const
  try {
    const routes = [...wanted.proxy].map(([name, target]): Route => ({
      host: appHost(name, naming),
      path: '/',
      to: parseUpstream(String(target)),
      changeOrigin: false,
      owner: { kind: 'project', project: project.directory },
    }))
    const subject = routes.map(({ host }) => host).join(', ')
    const named = subject === '' ? step : { ...step, subject }
    // A scope for further names is made by an earlier step.
    if (scopes.length > 0 && wanted.permit.length === 0) await checkPermitted(state, routes)
    const plan = await planProjectRoutes(state, project.directory, routes)
    const conflict = conflictOf(plan)
    if (conflict !== null) return [impossible(named, conflict)]
    const dangers = await dangersOf(routes, naming, work)
    const { add, remove } = plan
    const isServed = routes.length === 0 || proxy === undefined || (await proxy.isServing())
    if (add.length + remove.length === 0 && isServed) return [settled(named, { dangers })]
    const lines = [
      ...remove
        .filter((route) => !add.some(({ host }) => host === route.host))
        .map(({ host }) => `-${host}`),
      ...add.map(({ host, to }) => `+${host} → ${to}`),
      ...(isServed ? [] : ['the daemon is started']),
    ]
    const detail = lines.join(', ')
    return [
      {
        step: { ...named, outcome: 'would-change', privileged: false, detail },
        dangers,
        done: [{ kind: 'proxy' }],
        uses: [],
        apply: async () => {
          await setProjectRoutes(state, project.directory, routes)
          const urls = routes.length === 0 ? [] : ((await proxy?.serve(routes)) ?? [])
          return urls.length === 0 ? detail : urls.join(', ')
        },
      },
    ]
  } catch (error) {
    if (error instanceof RootlingError) return [impossible(step, error)]
    throw error
  }
}

/**
 * A name of the project's own that leads to this machine hurts nobody. Any other may be another
 * project's, whose cookies browsers then send, or hands what a person types to another machine.
 */
async function dangersOf(
  routes: readonly Route[],
  naming: AppNaming,
  { project, world }: Work,
): Promise<Danger[]> {
  const others = (await readRoutes(world.state)).filter(
    ({ owner }) =>
      owner.kind === 'hand' ||
      (owner.kind === 'project' && !`${owner.project}/`.startsWith(`${project.root}/`)),
  )
  const isOwn = (host: string): boolean => {
    const domain = ownDomainOf(host, naming)
    return (
      domain !== null &&
      !others.some((other) => isWithin(other.host, domain) || covers(other.host, host))
    )
  }
  return routes.flatMap(({ host, to }): Danger[] => {
    const texts = [
      ...(isOwn(host) ? [] : [`let ${host} lead to ${to}, whoever else has that name here`]),
      ...(isOfThisMachine(to)
        ? []
        : [`send what is asked of ${host} to ${to}, which is not this machine`]),
    ]
    return texts.map((text) => ({ kind: 'proxy', text }))
  })
}

/**
 * Returns the domain of a host that is named like the project, below a domain in which nobody else has
 * names (RFC 6761), such as shop.localhost; `null`: the host is not of this project.
 */
function ownDomainOf(host: string, { project }: AppNaming): string | null {
  const domains = ['localhost', 'test', 'example', 'invalid'].map((each) => `${project}.${each}`)
  return project === null ? null : (domains.find((domain) => isWithin(host, domain)) ?? null)
}

/** Whether a route for a wildcard, or for every host, now leads somewhere from this host. */
const covers = (wildcard: string, host: string): boolean =>
  wildcard === everyHost || (wildcard.startsWith('*.') && host.endsWith(wildcard.slice(1)))

const isWithin = (host: string, domain: string): boolean =>
  host === domain || host.endsWith(`.${domain}`)
