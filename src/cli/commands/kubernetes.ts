import { fstatSync } from 'node:fs'
import {
  readTrustedScopes,
  requireScope,
  requireScopes,
  rootForOpenssl,
  type Scope,
} from '../../authority/scope.ts'
import { openSigner } from '../../authority/signer.ts'
import {
  acmeIssuer,
  checkLabel,
  signingIssuer,
  type KubernetesNames,
  type KubernetesTexts,
} from '../../containers/kubernetes.ts'
import { askDaemon } from '../../daemon/control-client.ts'
import { askStatus } from '../../daemon/launch.ts'
import { onlyThisMachine } from '../../daemon/settings.ts'
import { RootlingError } from '../../errors.ts'
import { shellWord } from '../../shell-word.ts'
import { keysOf } from '../../storage/files/keys.ts'
import { holdersOfScope } from '../../trust/machine-stores.ts'
import { exitCodes, type ArgumentsOf, type ExitCode } from '../command.ts'
import type { Context } from '../context.ts'
import { meantScope } from '../nearest.ts'
import type { Output } from '../output.ts'
import type { kubernetesSpec } from '../specs/runtimes.ts'
import { standardOutput } from '../standard-streams.ts'
import { trustWorld } from '../trust-world.ts'

/**
 * `rootling kubernetes`: prints a cert-manager issuer for a local cluster, as YAML: one that orders
 * from the daemon by ACME, or with --secret one that signs in the cluster.
 */
export async function kubernetes(
  args: ArgumentsOf<typeof kubernetesSpec>,
  context: Context,
): Promise<ExitCode> {
  const { name = 'rootling', namespace = 'cert-manager', secret } = args
  checkLabel('name', name)
  checkLabel('namespace', namespace)
  const names = { name, namespace }
  const { objects, yaml } =
    secret === undefined
      ? await orderingByAcme(names, context)
      : await signingWith(secret, names, args.yes === true, context)
  if (context.output.json) context.output.result([], { objects })
  else context.output.contents(Buffer.from(withCompleteComments(yaml, context.output)))
  return exitCodes.ok
}

/** Completes the `rootling` commands in the comments, for the authority of this run. */
const withCompleteComments = (yaml: string, output: Output): string =>
  yaml.replaceAll(/^#.*$/gm, (line) => output.hint(line))

const address =
  'Pods reach this machine at the gateway of the cluster’s network (docker network inspect kind), or at host.docker.internal with Docker Desktop.'

/** Makes a key for an external account binding, which the daemon must do. */
async function orderingByAcme(
  names: KubernetesNames,
  { state, output }: Context,
): Promise<KubernetesTexts> {
  await requireScopes(state)
  const status = await askStatus(state)
  if (status === null)
    throw new RootlingError('connect-failed', `The daemon is not running. ${address}`, {
      hint: 'rootling daemon start --acme-host 172.18.0.1',
    })
  const server = status.listening.find(
    ({ what, url }) => what === 'ACME' && new URL(url).hostname !== onlyThisMachine,
  )?.url
  const eab =
    server === undefined
      ? null
      : await askDaemon<{ kid: string; hmacKey: string }>(state, 'create-eab-key')
  if (server === undefined || eab === null)
    throw new RootlingError(
      'connect-failed',
      `The daemon answers ACME on this machine alone, where no pod reaches it. ${address}`,
      { hint: 'rootling daemon restart --acme-host 172.18.0.1' },
    )
  if (othersMayRead())
    output.warn(
      'Others may read the file that gets this output, which holds a key with which an ACME client opens an account here. Pipe it (rootling kubernetes | kubectl apply -f -), or run before: umask 077',
    )
  const scopes = await readTrustedScopes(state)
  return acmeIssuer({
    ...names,
    server,
    // cert-manager is written in Go, which takes no common name for a host.
    serverRoots: scopes.map(({ root }) => root.toString()).join(''),
    roots: scopes.map((scope) => rootForOpenssl(scope).pem).join(''),
    eab,
  })
}

async function signingWith(
  scopeName: string,
  names: KubernetesNames,
  yes: boolean,
  context: Context,
): Promise<KubernetesTexts> {
  const { state, now, output } = context
  const scope = await requireScope(state, scopeName, (all) => meantScope(scopeName, all))
  await refuseTrusted(scope, yes, context)
  if (!yes) refuseReaders(scopeName)
  const keys = keysOf(state)
  // It says when the scope has ended.
  await openSigner(keys, scope, now())
  const root = scope.root.toString()
  output.warn(
    `This output holds the signing key of the scope ${scopeName}, which may sign any name. Whoever reads it, or the cluster’s Secrets, can be any server to the programs that trust the root ${scope.rootPath}.`,
  )
  return signingIssuer({
    ...names,
    scope: scopeName,
    chain: `${scope.issuers}${root}`,
    key: await keys.read(scopeName, scope.keyDigest),
    root,
  })
}

/**
 * Throws `usage` for a scope whose root something else than the cluster trusts, or, without `yes`,
 * may trust.
 */
async function refuseTrusted(scope: Scope, yes: boolean, context: Context): Promise<void> {
  const { name, use } = scope
  const another = { hint: 'rootling ca permit --private cluster' }
  if (use !== 'private')
    throw new RootlingError(
      'usage',
      `The scope ${name} is not a private one, so its key does not go into a cluster: who reads it there could be any of its names to all that trust its root.`,
      another,
    )
  const { holding, unread } = await holdersOfScope(trustWorld({}, context), scope)
  const titles = (outcomes: typeof holding): string =>
    outcomes.map(({ store }) => store.title).join(', ')
  if (holding.length > 0)
    throw new RootlingError(
      'usage',
      `The root of the scope ${name} is in a trust store of this machine (${titles(holding)}), so its key does not go into a cluster: it may sign any name.`,
      { hint: `Take ${scope.rootPath} out of there, or make another: ${another.hint}` },
    )
  const [first] = unread
  if (first === undefined || yes) return
  const agreed = `If it is in none: ${secretCommand(name)} --yes`
  throw new RootlingError(
    'usage',
    `The root of the scope ${name} may be in a trust store that cannot be read (${titles(unread)}), so its key does not go into a cluster: ${first.reason ?? 'the store did not say why.'}`,
    { hint: first.hint === undefined ? agreed : `${first.hint}. ${agreed}` },
  )
}

/**
 * Throws `usage` where standard output is a terminal, which keeps what it showed, or a file that
 * others may read.
 */
function refuseReaders(scope: string): void {
  const command = secretCommand(scope)
  if (standardOutput.isTTY)
    throw new RootlingError('usage', 'The signing key of a scope is not shown on a terminal.', {
      hint: `Add --yes, or: ${command} | kubectl apply -f -`,
    })
  if (!othersMayRead()) return
  throw new RootlingError('usage', 'Others may read the file that would get the signing key.', {
    hint: `${command} | kubectl apply -f -; or first: umask 077`,
  })
}

const secretCommand = (scope: string): string => `rootling kubernetes --secret ${shellWord(scope)}`

/** Whether standard output is a file that other users may read; `false` on Windows. */
function othersMayRead(): boolean {
  if (process.platform === 'win32') return false
  const status = fstatSync(1)
  return status.isFile() && (status.mode & 0o077) !== 0
}
