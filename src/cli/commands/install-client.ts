import { resolve } from 'node:path'
import {
  identityOfPem,
  type ClientCertificateStore,
  type ClientIdentity,
  type HeldIdentity,
} from '../../../platform/client-store.ts'
import { createMachine, type Machine } from '../../../platform/machine.ts'
import { findNssDatabases } from '../../../platform/nss/browsers.ts'
import { createNssClientStore } from '../../../platform/nss/client.ts'
import { identityIn, withPrivatePkcs12 } from '../../../platform/nss/pkcs12.ts'
import { RootlingError } from '../../errors.ts'
import type { StoreOutcome } from '../../trust/stores.ts'
import { askSecret } from '../ask.ts'
import { exitCodes, type ArgumentsOf, type ExitCode } from '../command.ts'
import type { Context } from '../context.ts'
import { readFirstLine, readInputBytes } from '../read-input.ts'
import type { installClientSpec } from '../specs/stores.ts'
import { changeExitCode, outcomeTable, printPlan } from '../trusting.ts'

type Arguments = ArgumentsOf<typeof installClientSpec>

/** `rootling install-client FILE.p12`: where the person's browsers look for it, or out of there again. */
export async function installClient(args: Arguments, context: Context): Promise<ExitCode> {
  const { output, cwd } = context
  const [word = ''] = args.positionals
  const file = resolve(cwd, word)
  const contents = await readInputBytes(file)
  const machine = await createMachine({
    env: context.env,
    dryRun: args['dry-run'] === true,
    interactive: context.interactive,
  })
  const system = await findSystemStore(machine, args)
  const pem = identityOfPem(contents.toString('latin1'))
  if (pem !== null) {
    if (args.remove !== true)
      throw new RootlingError('usage', `${word} is a PEM file, and browsers take PKCS #12.`, {
        hint: `openssl pkcs12 -export -in ${word} -inkey KEY.pem -out client.p12, or rootling issue --pkcs12`,
      })
    const outcomes =
      system === null
        ? await forEach(await findNssStores(machine), remover(pem, machine))
        : await forEach([system], remover(pem, machine))
    return report(pem, outcomes, machine, output)
  }
  const password = await readPassword(args, word, context)
  if (system !== null) {
    const { readPkcs12Identity } = await import('../../../platform/pkcs12-identity.ts')
    const identity = await readPkcs12Identity(contents, password, word)
    const act = actOf(args, identity, { file, password, shown: word }, machine)
    return report(identity, await forEach([system], act), machine, output)
  }
  const stores = await findNssStores(machine)
  return withPrivatePkcs12(machine, { contents, password, shown: word }, async (pkcs12) => {
    const identity = await identityIn(machine, pkcs12)
    const act = actOf(args, identity, pkcs12, machine)
    return report(identity, await forEach(stores, act), machine, output)
  })
}

/** macOS and Windows have a store of their own, which all browsers there read; `null`: this is neither. */
async function findSystemStore(
  machine: Machine,
  { name }: Arguments,
): Promise<ClientCertificateStore<HeldIdentity> | null> {
  if (process.platform === 'win32') {
    const { createWindowsClientStore } = await import('../../../platform/windows/client.ts')
    return createWindowsClientStore(machine)
  }
  if (process.platform !== 'darwin') return null
  if (name !== undefined)
    throw new RootlingError('usage', 'macOS calls a certificate by its subject, not by --name.', {
      hint: 'leave out --name',
    })
  const { createMacosClientStore } = await import('../../../platform/macos/client.ts')
  return createMacosClientStore(machine)
}

/** Those of the person; a database of the system is no place for anybody's key. */
async function findNssStores(machine: Machine) {
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
type Act<I extends ClientIdentity, F> = (store: ClientCertificateStore<I, F>) => Promise<Settled>

function actOf<I extends ClientIdentity, F>(
  { remove, name }: Arguments,
  identity: I,
  pkcs12: F,
  machine: Machine,
): Act<I, F> {
  return remove === true ? remover(identity, machine) : installer(identity, pkcs12, name, machine)
}

function installer<I extends ClientIdentity, F>(
  identity: I,
  pkcs12: F,
  name: string | undefined,
  { dryRun }: Machine,
): Act<I, F> {
  return async (store) => {
    const wasThere = await store.has(identity)
    await store.install(pkcs12, identity, name)
    if (wasThere) return { outcome: 'already-installed' }
    if (dryRun) return { outcome: 'would-install' }
    if (await store.has(identity)) return { outcome: 'installed' }
    return { outcome: 'failed', reason: `${store.title} reported success, but it is not there.` }
  }
}

function remover<I extends ClientIdentity>(identity: I, { dryRun }: Machine) {
  return async <F>(store: ClientCertificateStore<I, F>): Promise<Settled> => {
    if (!(await store.has(identity))) return { outcome: 'was-absent' }
    await store.remove(identity)
    if (dryRun) return { outcome: 'would-remove' }
    if (!(await store.has(identity))) return { outcome: 'removed' }
    return { outcome: 'failed', reason: `${store.title} reported success, but it is still there.` }
  }
}

/** Every store is tried, and what became of each is in the result. */
async function forEach<I extends ClientIdentity, F>(
  stores: readonly ClientCertificateStore<I, F>[],
  act: Act<I, F>,
): Promise<StoreOutcome[]> {
  const outcomes: StoreOutcome[] = []
  for (const store of stores) {
    const { id, kind, title } = store
    outcomes.push({
      store: { id, kind, title },
      anchor: null,
      ...(await settle(store, act)),
    })
  }
  return outcomes
}

async function settle<I extends ClientIdentity, F>(
  store: ClientCertificateStore<I, F>,
  act: Act<I, F>,
): Promise<Settled> {
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
