import { requireScopes } from '../../authority/scope.ts'
import { revocationUrls } from '../../certificates/leaf.ts'
import { hostPort } from '../../server/listen.ts'
import { createRevocationServer } from '../../sites/revocation/server.ts'
import { fileStorage } from '../../storage/files/storage.ts'
import { exitCodes, type ArgumentsOf, type ExitCode } from '../command.ts'
import type { Context } from '../context.ts'
import { exposure, listeningAs, parseHost, parsePort, stopSignal } from '../listening.ts'
import { ocspSpec } from '../specs/servers.ts'

/**
 * `rootling ocsp`: runs a server that tells clients which certificates are revoked, until SIGINT or
 * SIGTERM.
 */
export async function ocsp(
  args: ArgumentsOf<typeof ocspSpec>,
  { state, output, now }: Context,
): Promise<ExitCode> {
  const host = parseHost(args.host ?? '127.0.0.1', '--host 127.0.0.1')
  const scopes = await requireScopes(state)
  const starting = createRevocationServer({
    storage: fileStorage(state),
    now,
    host,
    port: parsePort(args.port ?? 14_680, '--port 14680, or 0 for a free one'),
    onError: (error) =>
      output.log(
        `${now().toISOString()} error: ${error instanceof Error ? error.message : String(error)}`,
      ),
  })
  const server = await listeningAs(ocspSpec, args, starting)
  // A server can listen on 0.0.0.0 or ::, which mean every address, but no client can connect to
  // them.
  const reachable = host === '0.0.0.0' || host === '::' ? 'localhost' : host
  const base = `http://${hostPort(reachable, server.port)}`
  const urls = {
    ocsp: `${base}/ocsp`,
    crls: scopes.map(({ name }) => revocationUrls(base, name).crl),
  }
  const lines = [`OCSP  ${urls.ocsp}`, ...urls.crls.map((url) => `CRL   ${url}`)]
  output.result(lines, { urls, host, port: server.port, pid: process.pid })
  output.note(`Certificates name it when issued so: rootling issue NAME --revocation-url ${base}`)
  output.note('Stop it with Ctrl-C.')
  const exposed = exposure(host)
  if (exposed !== null) output.warn(exposed)
  await stopSignal()
  await server.close()
  return exitCodes.ok
}
