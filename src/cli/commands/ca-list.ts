import { isTrusted, readScopes, type Scope } from '../../authority/scope.ts'
import { anchorOf, trustOfScopes } from '../../trust/machine-stores.ts'
import { trustOfOthers } from '../../trust/trusted-roots.ts'
import type { StoreOutcome } from '../../trust/stores.ts'
import { fingerprintOf, fingerprintText } from '../../x509/parsed-certificate.ts'
import { exitCodes, type ArgumentsOf, type ExitCode } from '../command.ts'
import type { Context } from '../context.ts'
import { commonName, describeScope } from '../../authority/describe-scope.ts'
import { describeConstraints, rootText, scopeText, untilText } from '../describe.ts'
import { blankBetween, bold, table, type Line } from '../lines.ts'
import type { caListSpec } from '../specs/ca.ts'
import { trustWorld } from '../trust-world.ts'

/** `rootling ca list`: prints each scope, what it may sign, and which stores trust it now. */
export async function caList(
  _args: ArgumentsOf<typeof caListSpec>,
  context: Context,
): Promise<ExitCode> {
  const { state, output, now } = context
  const at = now()
  const rowsOf = (rows: readonly (readonly [string, string])[]): Line[] =>
    table(
      rows.map(([title, value]) => [`  ${title}`, value]),
      output.width,
    )
  const scopes = await readScopes(state)
  const world = trustWorld({}, context)
  const outcomes = await trustOfScopes(world, {}, scopes.filter(isTrusted))
  const rows = scopes.map((scope) => ({ scope, trust: trustOf(anchorOf(scope).name, outcomes) }))
  if (scopes.length === 0)
    output.note('There is no certificate authority yet. Create it: rootling install')
  const trusted = await trustOfOthers(world)
  const blocks = rows.map(({ scope, trust }): Line[] => [
    bold(scopeText(scope)),
    ...rowsOf([
      ['root', commonName(scope)],
      ['may sign', describeConstraints(scope)],
      ...(scope.copies === null
        ? []
        : [['hardened', 'OpenSSL takes no common name for a host'] as const]),
      ['fingerprint', fingerprintText(fingerprintOf(scope.root))],
      ['until', untilText(scope.rootNotAfter, at)],
      ['trusted by', trust.trustedBy.join(', ') || untrustedText(scope)],
      ...(trust.notTrustedBy.length > 0
        ? [['NOT by', trust.notTrustedBy.join(', ')] as const]
        : []),
    ]),
  ])
  const others = trusted.map(({ label, source, fingerprint, trustedBy }): Line[] => [
    bold(rootText(label, fingerprint)),
    ...rowsOf([
      ['root', 'of another authority; to take it out: rootling untrust'],
      ['source', output.paths(source)],
      ['fingerprint', fingerprintText(fingerprint)],
      ['trusted by', trustedBy.join(', ') || 'no store'],
    ]),
  ])
  output.result(blankBetween([...blocks, ...others]), {
    scopes: rows.map(({ scope, trust }) => ({ ...describeScope(scope), ...trust })),
    trusted,
  })
  return exitCodes.ok
}

const untrustedText = (scope: Scope): string =>
  isTrusted(scope) ? 'no store' : 'no store, since its root is for programs that are given its file'

function trustOf(
  anchor: string,
  outcomes: readonly StoreOutcome[],
): { trustedBy: string[]; notTrustedBy: string[] } {
  const titles = (wanted: (outcome: StoreOutcome) => boolean): string[] =>
    outcomes.filter(wanted).map(({ store }) => store.title)
  return {
    trustedBy: titles((each) => each.anchor === anchor && each.outcome === 'trusted'),
    notTrustedBy: titles(
      (each) =>
        (each.anchor === anchor && each.outcome === 'not-trusted') || each.outcome === 'failed',
    ),
  }
}
