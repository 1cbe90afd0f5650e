import { RootlingError } from '../../errors.ts'
import { readRoutes, removeRoutes } from '../../proxy/kept-routes.ts'
import {
  everyHost,
  ownerText,
  parseRouteHost,
  parseRoutePath,
  placeOf,
  type Route,
} from '../../proxy/routes.ts'
import { exitCodes, type ArgumentsOf, type ExitCode } from '../command.ts'
import type { Context } from '../context.ts'
import type { proxyRemoveSpec } from '../specs/proxy.ts'

/** `rootling proxy remove NAME`: takes routes out; those of a command that runs end with it. */
export async function proxyRemove(
  { positionals, path: asked, default: isDefault = false }: ArgumentsOf<typeof proxyRemoveSpec>,
  { state, output }: Context,
): Promise<ExitCode> {
  const [name] = positionals
  if (positionals.length !== (isDefault ? 0 : 1))
    throw new RootlingError('usage', 'Choose what to remove: one name, or --default.', {
      hint: 'To see which names there are: rootling proxy list',
    })
  const host = name === undefined ? everyHost : parseRouteHost(name)
  const path = asked === undefined ? null : parseRoutePath(asked)
  const isMeant = (route: Route): boolean =>
    route.host === host && (path === null || route.path === path)
  const removed = await removeRoutes(state, (route) => isMeant(route) && route.owner.kind !== 'run')
  const left = (await readRoutes(state)).filter(isMeant)
  output.result(
    removed.map((route) => `- ${placeOf(route)} ${route.to}`),
    { removed, left },
  )
  if (removed.length + left.length === 0)
    output.note(`There is no route for ${placeOf({ host, path: path ?? '/' })}.`)
  for (const { owner } of removed)
    if (owner.kind === 'project')
      output.note(`It was of a project, which adds it again by the next up: ${ownerText(owner)}`)
  for (const route of left)
    output.note(`${placeOf(route)} is of ${ownerText(route.owner)}, and ends with that command.`)
  return left.length === 0 ? exitCodes.ok : exitCodes.failed
}
