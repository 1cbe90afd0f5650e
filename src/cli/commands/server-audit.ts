import { resolve } from 'node:path'
import { parseBoundedJson } from '../../bounded-json.ts'
import { RootlingError } from '../../errors.ts'
import { readText } from '../../files/read.ts'
import { quotedPath } from '../../shell-word.ts'
import { dropAudit } from '../../storage/postgres/audit-retention.ts'
import { verifyAudit, type AuditHead } from '../../storage/postgres/audit.ts'
import type { Database } from '../../storage/postgres/database.ts'
import { exitCodes, type ArgumentsOf, type ExitCode } from '../command.ts'
import type { Context } from '../context.ts'
import type { serverAuditSpec } from '../specs/team.ts'
import { withDatabase } from './server.ts'

/** `rootling server audit`: verifies the trail, and exits 1 where it was changed; or drops old months. */
export async function serverAudit(
  args: ArgumentsOf<typeof serverAuditSpec>,
  context: Context,
): Promise<ExitCode> {
  const word = args.positionals.join(' ')
  const { before, heads } = args
  if (word === 'verify' && before === undefined) {
    const kept = heads === undefined ? [] : await readHeads(resolve(context.cwd, heads))
    return withDatabase(args, context, (database) => auditVerify(database, kept, context))
  }
  if (word === 'drop' && before !== undefined && heads === undefined)
    return withDatabase(args, context, (database) => auditDrop(database, before, context))
  throw new RootlingError(
    'usage',
    'rootling server audit takes one word: verify, or drop with --before MONTH.',
    { hint: 'rootling server audit verify' },
  )
}

async function auditVerify(
  database: Database,
  heads: readonly AuditHead[],
  { output }: Context,
): Promise<ExitCode> {
  const { rows, replicas, since, faults } = await verifyAudit(database, heads)
  output.result(
    [
      ...faults.map(({ replica, n, what }) => `${replica} ${n}: ${what}`),
      `${rows} rows in ${replicas.length} chains, ${faults.length} faults`,
      ...(since === null ? [] : [`kept since ${since}: what was before has been dropped`]),
    ],
    { rows, replicas, since, faults },
  )
  return faults.length === 0 ? exitCodes.ok : exitCodes.failed
}

async function auditDrop(
  database: Database,
  before: string,
  { output }: Context,
): Promise<ExitCode> {
  const { months, rows } = await dropAudit(database, before)
  output.result(
    [months.length === 0 ? 'nothing to drop' : `dropped ${rows} rows: ${months.join(', ')}`],
    { months, rows },
  )
  return exitCodes.ok
}

/**
 * Reads the `replicas` of what `rootling server audit verify --json` has printed. Throws `file-unreadable`,
 * and `usage` for another file.
 */
async function readHeads(path: string): Promise<readonly AuditHead[]> {
  const text = await readText(path)
  if (text === null)
    throw new RootlingError('file-unreadable', `There is no file ${quotedPath(path)}.`)
  let kept: unknown
  try {
    kept = (parseBoundedJson(text) as { replicas?: unknown } | null)?.replicas
  } catch (cause) {
    throw notHeads(path, cause)
  }
  if (Array.isArray(kept) && kept.every(isHead)) return kept
  throw notHeads(path)
}

function isHead(value: unknown): value is AuditHead {
  const { replica, n, hash } = (value ?? {}) as Partial<Record<keyof AuditHead, unknown>>
  return (
    typeof replica === 'string' && Number.isSafeInteger(n) && /^[0-9a-f]{64}$/.test(String(hash))
  )
}

const notHeads = (path: string, cause?: unknown): RootlingError =>
  new RootlingError('usage', `${quotedPath(path)} is not what an earlier verify printed.`, {
    hint: 'rootling server audit verify --json > FILE',
    cause,
  })
