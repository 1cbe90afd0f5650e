import { once } from 'node:events'
import { isIP } from 'node:net'
import { readScopes } from '../../authority.ts'
import { RootlingError } from '../../errors.ts'
import { hostPort } from '../../server/listen.ts'
import { createRevocationServer } from '../../server/revocation.ts'
import { revocationUrls } from '../../leaf.ts'
import { exitCodes, type ArgumentsOf, type ExitCode } from '../command.ts'
import type { Context } from '../context.ts'
import type { ocspSpec } from '../table.ts'

/** `rootling ocsp`: answers which certificates are revoked, until SIGINT or SIGTERM. */
export async function ocsp(
  args: ArgumentsOf<typeof ocspSpec>,
  { state, output, now }: Context,
): Promise<ExitCode> {
  const host = checkHost(args.host ?? '127.0.0.1')
  const scopes = await readScopes(state)
  if (scopes.length === 0)
    throw new RootlingError('no-authority', 'There is no certificate authority yet.', {
      hint: 'rootling install',
    })
  const server = await createRevocationServer({
    state,
    now,
    host,
    port: checkPort(args.port ?? 14_680),
    onError: (error) =>
      output.log(`error: ${error instanceof Error ? error.message : String(error)}`),
  })
  // Nobody can connect to the address that means every address.
  const reachable = host === '0.0.0.0' || host === '::' ? 'localhost' : host
  const base = `http://${hostPort(reachable, server.port)}`
  const urls = {
    ocsp: `${base}/ocsp`,
    crls: scopes.map(({ name }) => revocationUrls(base, name).crl),
  }
  const lines = [`OCSP  ${urls.ocsp}`, ...urls.crls.map((url) => `CRL   ${url}`)]
  output.result(lines.join('\n'), { urls, host, port: server.port, pid: process.pid })
  output.note(
    `Certificates name it when issued so: rootling issue NAME --revocation-url ${base}\nStop it with Ctrl-C.`,
  )
  if (host !== 'localhost' && host !== '::1' && !host.startsWith('127.'))
    output.warn(`Listening on ${host}: other machines can connect too.`)
  await stopSignal()
  await server.close()
  return exitCodes.ok
}

function checkHost(host: string): string {
  const bare = host.replace(/^\[(.*)\]$/, '$1')
  if (isIP(bare) !== 0 || bare === 'localhost') return bare
  throw new RootlingError('usage', `--host ${host} is not an IP address.`, {
    hint: '--host 127.0.0.1',
  })
}

function checkPort(port: number): number {
  if (port >= 0 && port <= 65_535) return port
  throw new RootlingError('usage', `--port ${port} is not between 0 and 65535.`, {
    hint: '--port 14680, or 0 for a free one',
  })
}

/** The first SIGINT or SIGTERM; the second ends the process at once, as is the default. */
async function stopSignal(): Promise<void> {
  await Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')])
  for (const signal of ['SIGINT', 'SIGTERM']) process.removeAllListeners(signal)
}
