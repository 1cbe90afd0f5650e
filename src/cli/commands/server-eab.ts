import type { CreatedEabKey, ListedEabKey } from '../../acme/eab-keys.ts'
import { RootlingError } from '../../errors.ts'
import { day } from '../../x509/profiles.ts'
import { serverOf, type Asks } from '../ask-server.ts'
import { exitCodes, type ArgumentsOf, type ExitCode } from '../command.ts'
import type { Context } from '../context.ts'
import type { serverEabSpec } from '../specs/team.ts'

type Arguments = ArgumentsOf<typeof serverEabSpec>

/** `rootling server eab create|list|revoke KID`. */
export async function serverEab(args: Arguments, context: Context): Promise<ExitCode> {
  const [word = '', kid, ...more] = args.positionals
  const asks = serverOf(args, context)
  if (word === 'create' && kid === undefined) return create(args, context, asks)
  if (word === 'list' && kid === undefined) return list(context, asks)
  if (word === 'revoke' && kid !== undefined && more.length === 0) return revoke(kid, context, asks)
  throw new RootlingError(
    'usage',
    'rootling server eab takes create, or list, or revoke and the kid of a key.',
    { hint: 'rootling server eab list' },
  )
}

async function create(args: Arguments, { output, now }: Context, asks: Asks): Promise<ExitCode> {
  const { label, name: names, preauthorized, profile: profiles, uses, days } = args
  if (uses !== undefined && !(uses >= 0))
    throw new RootlingError('usage', `--uses ${uses} is not a number of accounts.`, {
      hint: '--uses 1, or --uses 0 for any number',
    })
  if (days !== undefined && days < 1)
    throw new RootlingError('usage', `--days ${days} is over before it begins.`, {
      hint: '--days 90',
    })
  const created = (await asks('eab-create', {
    label,
    names,
    preauthorized,
    profiles,
    uses: uses === 0 ? null : uses,
    ...(days === undefined ? {} : { expires: new Date(now().getTime() + days * day) }),
  })) as CreatedEabKey
  output.result([`kid       ${created.kid}`, `hmac key  ${created.hmacKey}`], { ...created })
  output.note('A client registers with both. The HMAC key is not shown again: keep it secret.')
  return exitCodes.ok
}

async function list({ output, now }: Context, asks: Asks): Promise<ExitCode> {
  const keys = (await asks('eab-list')) as readonly ListedEabKey[]
  const stateOf = ({ revoked, expires = Infinity, uses }: ListedEabKey): string => {
    if (revoked !== undefined) return 'revoked'
    if (expires <= now().getTime()) return 'expired'
    if (uses === undefined) return 'binds any number of accounts'
    return uses === 1 ? 'binds 1 more account' : `binds ${uses} more accounts`
  }
  output.result(
    keys.map((key) =>
      [key.id, stateOf(key), key.names?.join(', ') ?? 'any name', key.label ?? ''].join('  '),
    ),
    { keys },
  )
  if (keys.length === 0) output.note('There is no key yet. Make one: rootling server eab create')
  return exitCodes.ok
}

async function revoke(kid: string, { output }: Context, asks: Asks): Promise<ExitCode> {
  const { changed } = (await asks('eab-revoke', { kid })) as { readonly changed: boolean }
  output.note(
    changed ? `Revoked ${kid}; its accounts get no certificates.` : `${kid} was revoked before.`,
  )
  output.result([], { kid, changed })
  return exitCodes.ok
}
