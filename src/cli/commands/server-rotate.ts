import type { AnyScope } from '../../authority/scope.ts'
import {
  activateRotation,
  finishRotation,
  prepareRotation,
  readAuthorities,
  type Rotated,
  type TeamAuthorities,
} from '../../replica/rotation.ts'
import { checkKeys } from '../../replica/watch-keys.ts'
import type { Database } from '../../storage/postgres/database.ts'
import { migrate } from '../../storage/postgres/migrate.ts'
import type { Sealer } from '../../storage/postgres/seal.ts'
import { postgresStorage } from '../../storage/postgres/storage.ts'
import { fingerprintOf, fingerprintText } from '../../x509/parsed-certificate.ts'
import { exitCodes, type ArgumentsOf, type ExitCode } from '../command.ts'
import type { Context } from '../context.ts'
import { timeText } from '../describe.ts'
import type { serverRotateSpec } from '../specs/team.ts'
import { openKeys } from '../server-keys.ts'
import { withDatabase } from './server.ts'

type Arguments = ArgumentsOf<typeof serverRotateSpec>

/** `rootling server rotate`: takes a step of a rotation; without one, says how far it is. */
export async function serverRotate(args: Arguments, context: Context): Promise<ExitCode> {
  return withDatabase(args, context, async (database) => {
    await migrate(database)
    const after = await takeStep(args, context, database)
    const { current, next, retired } = after
    context.output.result(
      [
        `signs    ${lineOf(current)}`,
        ...(next === null ? [] : [`next     ${lineOf(next)}`]),
        ...retired.map(
          ({ scope, until }) =>
            `retired  ${lineOf(scope)}, until ${until === null ? 'now: it has no certificate' : timeText(until)}`,
        ),
      ],
      {
        changed: 'changed' in after && after.changed,
        current: describe(current),
        next: next === null ? null : describe(next),
        retired: retired.map(({ scope, until }) => ({
          ...describe(scope),
          until: until?.toISOString() ?? null,
        })),
      },
    )
    if (args.finish === true && 'changed' in after && !after.changed)
      context.output.note(
        retired.length === 0
          ? 'Nothing was deleted: no authority was replaced.'
          : 'Nothing was deleted: each replaced authority has a certificate that has not ended.',
      )
    context.output.note(adviceOn(after))
    return exitCodes.ok
  })
}

async function takeStep(
  args: Arguments,
  context: Context,
  database: Database,
): Promise<TeamAuthorities | Rotated> {
  const now = context.now()
  if (args.prepare === true || args.activate === true) {
    const storage = postgresStorage(database, await openKeys(args, context, database))
    await checkKeys(storage)
    return args.prepare === true
      ? prepareRotation(database, storage, now)
      : activateRotation(database, storage, { now, early: args.now })
  }
  const storage = postgresStorage(database, keyless)
  return args.finish === true
    ? finishRotation(database, storage, now)
    : readAuthorities(database, storage)
}

const noKeys = (): never => {
  throw new TypeError('this step of a rotation reads no key')
}
const keyless: Sealer = { seal: noKeys, open: noKeys }

const lineOf = ({ name, root }: AnyScope): string =>
  `${name}  ${fingerprintText(fingerprintOf(root))}`

const describe = ({ name, root, created, rootNotAfter, permitted }: AnyScope) => ({
  name,
  fingerprint: fingerprintOf(root),
  created,
  notAfter: rootNotAfter.toISOString(),
  permitted,
  root: root.toString(),
})

/** Says what to do next. */
function adviceOn({ current, next, retired }: TeamAuthorities): string {
  if (next !== null)
    return `Have every machine trust the next root: rootling trust URL --fingerprint ${fingerprintOf(next.root)}. Then: rootling server rotate --activate`
  if (retired.length === 0) return 'To replace it: rootling server rotate --prepare'
  return `Clients that ask by ARI renew by ${current.name} soon. The retired roots stay trusted until their last certificate ends; then: rootling server rotate --finish`
}
