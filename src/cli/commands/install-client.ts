import { resolve } from 'node:path'
import { createMachine, type Machine } from '../../../platform/machine.ts'
import {
  createNssClientStore,
  identityIn,
  identityOfPem,
  withPrivatePkcs12,
  type ClientCertificateStore,
  type ClientIdentity,
  type PrivatePkcs12,
} from '../../../platform/nss-client.ts'
import { findNssDatabases } from '../../../platform/nss-profiles.ts'
import { RootlingError } from '../../errors.ts'
import type { StoreOutcome } from '../../trust.ts'
import { askSecret } from '../ask.ts'
import { exitCodes, type ArgumentsOf, type ExitCode } from '../command.ts'
import type { Context } from '../context.ts'
import { readFirstLine, readInputBytes } from '../read-input.ts'
import type { installClientSpec } from '../table.ts'
import { changeExitCode, outcomeTable, printPlan } from '../trusting.ts'

type Arguments = ArgumentsOf<typeof installClientSpec>

/** `rootling install-client FILE.p12`: into the databases of the person's browsers, or out of them. */
export async function installClient(args: Arguments, context: Context): Promise<ExitCode> {
  refuseSystem(process.platform, args)
  const { output, cwd } = context
  const [word = ''] = args.positionals
  const contents = await readInputBytes(resolve(cwd, word))
  const machine = await createMachine({
    env: context.env,
    dryRun: args['dry-run'] === true,
    interactive: context.interactive,
  })
  const stores = await findStores(machine)
  const pem = identityOfPem(contents.toString('latin1'))
  if (pem !== null) {
    if (args.remove !== true)
      throw new RootlingError('usage', `${word} is a PEM file, and browsers take PKCS #12.`, {
        hint: `openssl pkcs12 -export -in ${word} -inkey KEY.pem -out client.p12, or rootling issue --pkcs12`,
      })
    return report(pem, await forEach(stores, remover(pem, machine)), machine, output)
  }
  const password = await readPassword(args, word, context)
  return withPrivatePkcs12(machine, { contents, password, shown: word }, async (pkcs12) => {
    const identity = await identityIn(machine, pkcs12)
    const act =
      args.remove === true
        ? remover(identity, machine)
        : installer(identity, pkcs12, args.name, machine)
    return report(identity, await forEach(stores, act), machine, output)
  })
}

/** macOS and Windows keep client certificates where only their own programs write, and those take the password as an argument. */
function refuseSystem(system: NodeJS.Platform, { positionals: [file = 'FILE.p12'] }: Arguments) {
  const hints: Partial<Record<NodeJS.Platform, string>> = {
    darwin: `open ${file}, and the keychain asks for the password`,
    win32: `certutil -user -importpfx ${file}, which asks for the password`,
  }
  if (system === 'linux') return
  throw new RootlingError(
    'unsupported',
    `Rootling does not import client certificates on ${system}.`,
    {
      hint: hints[system] ?? 'import the file in the settings of the browser',
    },
  )
}

/** Those of the person; a database of the system is no place for anybody's key. */
async function findStores(machine: Machine): Promise<ClientCertificateStore[]> {
  const databases = (await findNssDatabases(machine)).filter(({ as }) => as === 'person')
  if (databases.length > 0)
    return databases.map((database) => createNssClientStore(machine, database))
  throw new RootlingError(
    'store-failed',
    'No browser of the Chromium or Firefox family has a certificate database here.',
    { hint: 'start the browser once, then run this again' },
  )
}

async function readPassword(
  args: Arguments,
  word: string,
  { cwd, interactive }: Context,
): Promise<string> {
  if (args['password-file'] !== undefined) return readFirstLine(resolve(cwd, args['password-file']))
  if (interactive) return askSecret(`Password of ${word}: `)
  throw new RootlingError('usage', `${word} needs its password, and nobody can be asked.`, {
    hint: '--password-file FILE',
  })
}

type Settled = Pick<StoreOutcome, 'outcome' | 'reason' | 'hint'>
type Act = (store: ClientCertificateStore) => Promise<Settled>

function installer(
  identity: ClientIdentity,
  pkcs12: PrivatePkcs12,
  name: string | undefined,
  { dryRun }: Machine,
): Act {
  return async (store) => {
    const wasThere = await store.has(identity)
    await store.install(pkcs12, identity, name)
    if (wasThere) return { outcome: 'already-installed' }
    if (dryRun) return { outcome: 'would-install' }
    if (await store.has(identity)) return { outcome: 'installed' }
    return { outcome: 'failed', reason: 'pk12util reported success, but it is not there.' }
  }
}

function remover(identity: ClientIdentity, { dryRun }: Machine): Act {
  return async (store) => {
    if (!(await store.has(identity))) return { outcome: 'was-absent' }
    await store.remove(identity)
    if (dryRun) return { outcome: 'would-remove' }
    if (!(await store.has(identity))) return { outcome: 'removed' }
    return { outcome: 'failed', reason: 'certutil reported success, but it is still there.' }
  }
}

/** Every store is tried, and what became of each is in the result. */
async function forEach(
  stores: readonly ClientCertificateStore[],
  act: Act,
): Promise<StoreOutcome[]> {
  const outcomes: StoreOutcome[] = []
  for (const store of stores) {
    const { id, title } = store
    outcomes.push({
      store: { id, kind: 'nss', title },
      anchor: null,
      ...(await settle(store, act)),
    })
  }
  return outcomes
}

async function settle(store: ClientCertificateStore, act: Act): Promise<Settled> {
  try {
    const answer = await store.availability()
    if (answer.available) return await act(store)
    const { code, reason, hint } = answer
    const outcome = code === 'absent' ? 'skipped' : 'failed'
    return { outcome, reason, ...(hint === undefined ? {} : { hint }) }
  } catch (error) {
    if (!(error instanceof RootlingError)) throw error
    const { message: reason, hint } = error
    return { outcome: 'failed', reason, ...(hint === undefined ? {} : { hint }) }
  }
}

function report(
  { fingerprint }: ClientIdentity,
  outcomes: readonly StoreOutcome[],
  machine: Machine,
  output: Context['output'],
): ExitCode {
  if (machine.dryRun) {
    printPlan(machine, output, outcomes)
    return exitCodes.ok
  }
  output.result(outcomeTable(outcomes, output), { fingerprint, stores: outcomes })
  if (outcomes.some(({ outcome }) => outcome === 'installed'))
    output.note('A browser that is open sees it after a restart.')
  return changeExitCode(outcomes)
}
