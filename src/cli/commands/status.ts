import { requireScopes } from '../../authority.ts'
import { allWell, trustStatus } from '../../trust.ts'
import { exitCodes, type ArgumentsOf, type ExitCode } from '../command.ts'
import type { Context } from '../context.ts'
import { commonName, describeConstraints, describeScope, shortDate } from '../describe.ts'
import type { statusSpec } from '../table.ts'
import { anchorOf, openStores, outcomeTable } from '../trusting.ts'

/** `rootling status`: asks every store afresh. Exit 4 when one that is there does not trust us. */
export async function status(
  args: ArgumentsOf<typeof statusSpec>,
  context: Context,
): Promise<ExitCode> {
  const { state, output } = context
  const scopes = await requireScopes(state)
  const { stores } = await openStores(args, context, scopes)
  const outcomes = await trustStatus(stores, scopes.map(anchorOf))
  const described = scopes.map(describeScope)
  for (const scope of scopes)
    output.note(
      `${commonName(scope)} may sign ${describeConstraints(scope)}, until ${shortDate(new Date(scope.root.validTo).toISOString())}.`,
    )
  output.result(outcomeTable(outcomes, output), {
    home: state.path,
    scopes: described,
    stores: outcomes,
  })
  if (allWell(outcomes) && outcomes.some(({ outcome }) => outcome === 'trusted'))
    return exitCodes.ok
  output.note('To mend it: rootling install')
  return exitCodes.notTrusted
}
