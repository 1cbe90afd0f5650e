import { stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import { chooseScope } from '../../certificates/scope-choice.ts'
import { RootlingError } from '../../errors.ts'
import { stampOf } from '../../files/stamp.ts'
import { describeConnectionError } from '../../server/connection-error.ts'
import { formatLogLine } from '../../server/request-log.ts'
import { createDemoHandler } from '../../sites/demo/demo.ts'
import {
  openSecuredSite,
  type GivenCertificate,
  type SiteClients,
  type SiteReports,
} from '../../sites/secured-site.ts'
import { scopeNames } from '../../storage/files/scopes.ts'
import { parseIdentifier } from '../../x509/identifier.ts'
import { exitCodes, type ArgumentsOf, type ExitCode } from '../command.ts'
import type { Context } from '../context.ts'
import { noteCreated, warnOfDistrust } from '../first-use.ts'
import { noteUnresolved } from '../hosts-file.ts'
import { exposure, listeningAs, parseHost, parsePort, stopSignal } from '../listening.ts'
import { readCertificates, readInput } from '../read-input.ts'
import { serveSpec } from '../specs/servers.ts'

type Arguments = ArgumentsOf<typeof serveSpec>

/**
 * `rootling serve`: runs an HTTPS server until SIGINT or SIGTERM, then lets requests in flight
 * finish.
 */
export async function serve(args: Arguments, context: Context): Promise<ExitCode> {
  const { state, output, now } = context
  const host = parseHost(
    args.host ?? 'localhost',
    '--host 127.0.0.1, or 0.0.0.0 for every network this machine is in',
  )
  const port = parsePort(args.port ?? 8443, '--port 8443, or 0 for a free one')
  const directory = await checkDirectory(args.dir, context)
  const clients = parseClients(args, context)
  const given = await readCertificate(args, context)
  if (given === undefined) await createFirst(args.positionals, context)
  const opening = openSecuredSite({
    state,
    host: host === 'localhost' ? undefined : host,
    port,
    minVersion: args['tls-min'] === '1.2' ? 'TLSv1.2' : 'TLSv1.3',
    handler: createDemoHandler({ directory }),
    certificate: given,
    names: args.positionals,
    onDemand: args['on-demand'],
    clients,
    now,
    ...reportsTo(context),
  })
  const site = await listeningAs(serveSpec, args, opening)
  const { names, urls } = site
  const mtls = clients === undefined ? null : clients.optional ? 'optional' : 'required'
  output.result(urls, { urls, host, port: site.port, names, mtls, pid: process.pid })
  const what = directory ?? 'a page that tells how the connection was secured'
  output.note(`Serving ${what}. Stop it with Ctrl-C.`)
  noteUnresolved(names, context.env, output)
  if (mtls !== null) output.note(mtlsNote(mtls, args['client-ca']))
  for (const address of site.unsigned)
    output.note(
      `${address} is outside the names that this authority may sign, so it is not in the certificate: rootling ca permit ${address}`,
    )
  const exposed = exposure(host)
  if (exposed !== null) output.warn(exposed)
  await stopSignal()
  output.note('Stopping; requests in flight may finish.')
  await site.close()
  return exitCodes.ok
}

/** Creates the authority where there is none, as `rootling issue` does for a first certificate. */
async function createFirst(names: readonly string[], context: Context): Promise<void> {
  const { state, now } = context
  // A mistyped name of another authority makes none.
  if (state.authority !== undefined || (await scopeNames(state)).length > 0) return
  const identifiers = names.map(parseIdentifier)
  const { name } = await chooseScope(state, { purpose: 'server', identifiers, create: true }, now())
  noteCreated(context)
  await warnOfDistrust(name, context)
}

function reportsTo({ output, now }: Context): SiteReports {
  // Every line of the log begins with its time, as those of requests do.
  const log = (sentence: string): void => output.log(`${now().toISOString()} ${sentence}`)
  return {
    onWarning: ({ sentence, hint }) => output.warn(`${sentence} ${hint}`),
    onRequest: (entry) => output.log(formatLogLine(entry)),
    onConnectionError: (error, address) =>
      log(`${address || '-'} refused: ${describeConnectionError(error)}`),
    onHandlerError: (error) => log(`error: ${firstLine(error)}`),
    onAlone: () => output.note('This machine has no ::1, so 127.0.0.1 alone is served.'),
    onRenewed: () => log('The certificate was renewed.'),
    onRenewalFailed: (error, next) =>
      log(
        `The certificate could not be renewed, next try ${next.toISOString()}: ${firstLine(error)}`,
      ),
    onNameRefused: (name, error) => log(`no certificate for ${name}: ${firstLine(error)}`),
    onClientAuthoritiesChanged: (count) => log(`The CAs of clients were read anew: ${count} now.`),
    onClientAuthoritiesFailed: (error) =>
      log(`The CAs of clients stay as they were: ${firstLine(error)}`),
  }
}

/** Returns which client certificates are accepted; `undefined`: clients are not asked for one. */
function parseClients(args: Arguments, context: Context): SiteClients | undefined {
  const { 'client-ca': clientCa, 'mtls-optional': optional = false } = args
  if (args.mtls !== true && !optional) {
    if (clientCa === undefined) return undefined
    throw new RootlingError('usage', '--client-ca means nothing without --mtls.', {
      hint: `rootling serve --mtls --client-ca ${clientCa}`,
    })
  }
  if (clientCa === undefined) return { optional }
  const path = resolve(context.cwd, clientCa)
  const read = async () => ({ ca: await readCertificates(path) })
  return { optional, authorities: { stamp: () => stampOf(path), read } }
}

function mtlsNote(mtls: 'optional' | 'required', clientCa: string | undefined): string {
  const verb = mtls === 'optional' ? 'may' : 'must'
  return clientCa === undefined
    ? `Clients ${verb} show a certificate of this CA: rootling issue --client alice@example.test`
    : `Clients ${verb} show a certificate of a CA in ${clientCa}.`
}

/** Reads the files of --cert-file and --key-file; `undefined`: neither option was given. */
async function readCertificate(
  { 'cert-file': cert, 'key-file': key, positionals }: Arguments,
  context: Context,
): Promise<GivenCertificate | undefined> {
  if (cert === undefined && key === undefined) return undefined
  if (cert === undefined || key === undefined)
    throw new RootlingError('usage', '--cert-file and --key-file go together.', {
      hint: 'rootling serve --cert-file localhost.pem --key-file localhost-key.pem',
    })
  if (positionals.length > 0)
    throw new RootlingError('usage', 'With --cert-file the names are the certificate’s own.', {
      hint: 'Leave out the names, or --cert-file and --key-file',
    })
  const certificateFile = resolve(context.cwd, cert)
  const keyFile = resolve(context.cwd, key)
  const [certPem, keyPem] = await Promise.all([readInput(certificateFile), readInput(keyFile)])
  return { cert: certPem, key: keyPem, certificateFile, keyFile }
}

async function checkDirectory(
  dir: string | undefined,
  context: Context,
): Promise<string | undefined> {
  if (dir === undefined) return undefined
  const path = resolve(context.cwd, dir)
  const info = await stat(path).catch(() => null)
  if (info?.isDirectory() === true) return path
  throw new RootlingError('usage', `--dir ${dir} is not a directory.`, { hint: 'Name a directory' })
}

function firstLine(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error)
  return text.split('\n')[0] ?? ''
}
