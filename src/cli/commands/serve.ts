import { stat } from 'node:fs/promises'
import { isIP } from 'node:net'
import { resolve } from 'node:path'
import { readScopes } from '../../authority/scope.ts'
import { keptCertificate } from '../../certificates/kept.ts'
import { RootlingError } from '../../errors.ts'
import { stampOf } from '../../files/stamp.ts'
import type { Contexts } from '../../server/contexts.ts'
import { createHttpsServer, type HttpsServer } from '../../server/https.ts'
import { loadKeyPair, type KeyPair } from '../../server/key-pair.ts'
import type { ClientAuthorities, ClientGate } from '../../server/mutual-tls.ts'
import { renewingPair, type RenewingPair } from '../../server/renewing.ts'
import { formatLogLine } from '../../server/request-log.ts'
import { createDemoHandler } from '../../sites/demo/demo.ts'
import { stampOfScopes } from '../../storage/files/scopes.ts'
import { altNameParts } from '../../x509/parsed-certificate.ts'
import { exitCodes, type ArgumentsOf, type ExitCode } from '../command.ts'
import type { Context } from '../context.ts'
import { exposure, parseHost, parsePort, stopSignal } from '../listening.ts'
import { readCertificates, readInput } from '../read-input.ts'
import type { serveSpec } from '../specs/servers.ts'

/** `rootling serve`: runs until SIGINT or SIGTERM, then lets requests in flight finish. */
export async function serve(
  args: ArgumentsOf<typeof serveSpec>,
  context: Context,
): Promise<ExitCode> {
  const { output, now } = context
  const host = parseHost(
    args.host ?? '127.0.0.1',
    '--host 127.0.0.1, or 0.0.0.0 for every network this machine is in',
  )
  const port = parsePort(args.port ?? 8443, '--port 8443, or 0 for a free one')
  const directory = await checkDirectory(args.dir, context)
  let server: HttpsServer | null = null
  const gate = await openClientGate(args, context, (authorities) =>
    server?.replaceClientAuthorities(authorities),
  )
  const clients = gate?.clients
  const source = await openSource(args, host, context, (pair) => server?.replaceCertificate(pair))
  const pair = source.current()
  for (const { sentence, hint } of pair.warnings) output.warn(`${sentence} ${hint}`)
  server = await createHttpsServer({
    pair,
    host,
    port,
    minVersion: args['tls-min'] === '1.2' ? 'TLSv1.2' : 'TLSv1.3',
    handler: createDemoHandler({ directory }),
    clients,
    contexts: args['on-demand'] === true ? await openContexts(pair, context) : undefined,
    now,
    onRequest: (entry) => output.log(formatLogLine(entry)),
    onConnectionError: (error, address) => output.log(`${address} refused: ${oneLine(error)}`),
    onHandlerError: (error) => output.log(`error: ${oneLine(error)}`),
  })
  const names = namesOf(pair)
  const mtls = clients === undefined ? null : args['mtls-optional'] ? 'optional' : 'required'
  const urls = names.map((name) => urlOf(name, server?.port ?? port))
  output.result(urls.join('\n'), { urls, host, port: server.port, names, mtls, pid: process.pid })
  output.note(
    `Serving ${directory ?? 'a page that tells how the connection was secured'}. Stop it with Ctrl-C.`,
  )
  if (mtls !== null) output.note(mtlsNote(mtls, args['client-ca']))
  const exposed = exposure(host)
  if (exposed !== null) output.warn(exposed)
  await stopSignal()
  output.note('Stopping; requests in flight may finish.')
  source.stop()
  gate?.stop()
  await server.close({ drainMilliseconds: 5_000 })
  return exitCodes.ok
}

/** `undefined`: clients are not asked for certificates. */
async function openClientGate(
  args: ArgumentsOf<typeof serveSpec>,
  { state, cwd, now, output }: Context,
  onChanged: (authorities: ClientAuthorities) => void,
): Promise<{ clients: ClientGate; stop(): void } | undefined> {
  const { 'client-ca': clientCa, 'mtls-optional': optional } = args
  if (args.mtls !== true && optional !== true) {
    if (clientCa === undefined) return undefined
    throw new RootlingError('usage', '--client-ca means nothing without --mtls.', {
      hint: `rootling serve --mtls --client-ca ${clientCa}`,
    })
  }
  const { createClientGate } = await import('../../server/mutual-tls.ts')
  const { recordedRevocations } = await import('../../sites/mtls/recorded-revocations.ts')
  const { ownAuthorities, watchAuthorities } =
    await import('../../sites/mtls/client-authorities.ts')
  const path = clientCa === undefined ? null : resolve(cwd, clientCa)
  const source =
    path === null
      ? ownAuthorities(state)
      : { stamp: () => stampOf(path), read: async () => ({ ca: await readCertificates(path) }) }
  const { initial, stop } = await watchAuthorities(source, {
    onChanged: (authorities) => {
      onChanged(authorities)
      output.log(`The CAs of clients were read anew: ${authorities.ca.length} now.`)
    },
    onFailed: (error) => output.log(`The CAs of clients stay as they were: ${oneLine(error)}`),
  })
  const revocationOf = recordedRevocations(state)
  return { clients: createClientGate({ ...initial, optional, revocationOf, now }), stop }
}

async function openContexts({ leaf }: KeyPair, { state, output, now }: Context): Promise<Contexts> {
  const { createContexts } = await import('../../server/contexts.ts')
  const { onDemandIssuer } = await import('../../certificates/on-demand.ts')
  return createContexts({
    issue: onDemandIssuer(state, now),
    covers: (name) => leaf.checkHost(name) !== undefined,
    now,
    onRefused: (name, error) => output.log(`no certificate for ${name}: ${oneLine(error)}`),
  })
}

function mtlsNote(mtls: 'optional' | 'required', clientCa: string | undefined): string {
  const verb = mtls === 'optional' ? 'may' : 'must'
  return clientCa === undefined
    ? `Clients ${verb} show a certificate of this CA: rootling issue --client alice@example.test`
    : `Clients ${verb} show a certificate of a CA in ${clientCa}.`
}

type Source = Pick<RenewingPair, 'current' | 'stop'>

async function openSource(
  args: ArgumentsOf<typeof serveSpec>,
  host: string,
  context: Context,
  onRenewed: (pair: KeyPair) => void,
): Promise<Source> {
  const { state, output, now } = context
  const roots = async () => (await readScopes(state)).map(({ root }) => root.toString())
  if (args.cert !== undefined || args.key !== undefined) {
    const pair = await loadGiven(args, context, await roots())
    return { current: () => pair, stop: () => undefined }
  }
  const defaults = ['localhost', '127.0.0.1', '::1']
  const own = isIP(host) !== 0 && !/^(?:0\.0\.0\.0|::)$/.test(host) ? [host] : []
  const names = args.positionals.length > 0 ? args.positionals : [...new Set([...defaults, ...own])]
  return renewingPair({
    issue: async () => {
      const { cert, key } = await keptCertificate(state, names, {}, now())
      return loadKeyPair(cert, key, now(), { roots: await roots() })
    },
    issuersStamp: () => stampOfScopes(state),
    checkMilliseconds: 1_000,
    now,
    onRenewed: (pair) => {
      output.log('The certificate was renewed.')
      onRenewed(pair)
    },
    onFailed: (error, next) =>
      output.log(
        `The certificate could not be renewed, next try ${next.toISOString()}: ${oneLine(error)}`,
      ),
  })
}

async function loadGiven(
  { cert, key, positionals }: ArgumentsOf<typeof serveSpec>,
  { cwd, now }: Context,
  roots: readonly string[],
): Promise<KeyPair> {
  if (cert === undefined || key === undefined)
    throw new RootlingError('usage', '--cert and --key go together.', {
      hint: 'rootling serve --cert localhost.pem --key localhost-key.pem',
    })
  if (positionals.length > 0)
    throw new RootlingError('usage', 'With --cert the names are the certificate’s own.', {
      hint: 'Leave out the names, or --cert and --key',
    })
  const certificateFile = resolve(cwd, cert)
  const keyFile = resolve(cwd, key)
  const [certPem, keyPem] = await Promise.all([readInput(certificateFile), readInput(keyFile)])
  return loadKeyPair(certPem, keyPem, now(), { certificateFile, keyFile, roots })
}

async function checkDirectory(
  dir: string | undefined,
  { cwd }: Context,
): Promise<string | undefined> {
  if (dir === undefined) return undefined
  const path = resolve(cwd, dir)
  const info = await stat(path).catch(() => null)
  if (info?.isDirectory() === true) return path
  throw new RootlingError('usage', `--dir ${dir} is not a directory.`, { hint: 'Name a directory' })
}

function namesOf({ leaf }: KeyPair): string[] {
  return altNameParts(leaf).flatMap((name) => /^(?:DNS|IP Address):(.*)$/.exec(name)?.[1] ?? [])
}

function urlOf(name: string, port: number): string {
  const host = name.includes(':') ? `[${name}]` : name.replace(/^\*/, 'any')
  return new URL(`https://${host}:${port}`).href
}

function oneLine(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error)
  return text.split('\n')[0] ?? ''
}
