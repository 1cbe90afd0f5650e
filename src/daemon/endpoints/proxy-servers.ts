import { readScopes } from '../../authority/scope.ts'
import { keptCertificate } from '../../certificates/kept.ts'
import { onDemandIssuer } from '../../certificates/on-demand.ts'
import { revokedIn } from '../../certificates/revoked-in.ts'
import { RootlingError } from '../../errors.ts'
import type { StateDirectory } from '../../home/state-directory.ts'
import { createProxyServer } from '../../proxy/proxy-server.ts'
import { createContexts } from '../../server/contexts.ts'
import type { HttpsServer } from '../../server/https.ts'
import { loadKeyPair, type KeyPair } from '../../server/key-pair.ts'
import { listenOnLoopback } from '../../server/listen.ts'
import { renewingPair } from '../../server/renewing.ts'
import { loopbackNames } from '../../sites/own-addresses.ts'
import { stampOfScopes } from '../../storage/files/scopes.ts'
import { aloneOn127, type EndpointOptions } from './endpoint.ts'
import { startHttpsRedirect } from './https-redirect.ts'
import { messageOf, problemOf, type Problem, type ProxyPorts } from './proxy-ports.ts'
import type { Serving } from './proxy-serving.ts'

/** The time between two looks at the authority. */
const checkMilliseconds = 1_000

/** What listens. */
export interface OpenProxy {
  readonly port: number
  close(): Promise<void>
}

interface OpenOptions extends EndpointOptions {
  readonly serving: () => Serving
}

/** Listens at the first of the ports that can be had. */
export async function openProxy(
  options: OpenOptions,
  { https, http }: ProxyPorts,
): Promise<{
  readonly open: OpenProxy | null
  readonly problem: Problem | null
}> {
  const problems: Problem[] = []
  for (const port of https)
    try {
      const open = await openAt(options, port, http)
      const [first = null] = problems
      return { open, problem: first === null ? null : { ...first, hint: toHavePorts } }
    } catch (error) {
      const isPort =
        error instanceof RootlingError && ['port-in-use', 'listen-failed'].includes(error.code)
      if (!isPort) throw error
      problems.push(problemOf(error))
    }
  const reason = [...new Set(problems.map((each) => each.reason))].join(' ')
  const hint = https.length > 1 ? 'rootling daemon restart --proxy-port 8443' : null
  return { open: null, problem: { reason, hint, error: problems.at(-1)?.error } }
}

/** What lets the proxy listen at 443 where it may not. */
const toHavePorts = 'rootling daemon install --ports'

async function openAt(
  { state, now, log, serving }: OpenOptions,
  port: number,
  httpPort: number | null,
): Promise<OpenProxy> {
  const servers: HttpsServer[] = []
  let roots: readonly string[] = []
  const readRoots = async (): Promise<void> => {
    // While they cannot be read, the earlier ones stay.
    roots = await rootsOf(state).catch(() => roots)
  }
  await readRoots()
  const load = async (): Promise<KeyPair> => {
    const { cert, key } = await keptCertificate(state, [...loopbackNames], {}, now())
    return loadKeyPair(cert, key, now(), { roots: await rootsOf(state) })
  }
  const source = await renewingPair({
    issue: load,
    issuersStamp: () => stampOfScopes(state),
    isRevoked: revokedIn(state),
    checkMilliseconds,
    now,
    onRenewed: (pair) => {
      servers.forEach((server) => server.replaceCertificate(pair))
      void readRoots()
    },
    onFailed: (error) => log(`the proxy's own certificate: ${messageOf(error)}`),
  })
  try {
    const refusals = createRefusals(log)
    const contexts = createContexts({
      issue: onDemandIssuer(state, now),
      isRevoked: revokedIn(state),
      covers: (name) => source.current().leaf.checkHost(name) !== undefined,
      isExpected: (name) => serving().expected.has(name),
      now,
      onRefused: refusals,
    })
    // Sockets that a service manager bound are to be taken here, in place of those that `listen` makes.
    const listening = await listenOnLoopback(
      port,
      async (host, chosen) => {
        const current = source.current()
        const server = await createProxyServer({
          host,
          port: chosen,
          pair: current,
          contexts,
          find: (...asked) => serving().find(...asked),
          hosts: () => serving().hosts,
          roots: () => roots,
          now,
          onError: (error) => log(`proxy: ${messageOf(error)}`),
        })
        servers.push(server)
        // A renewal while the server began to listen did not reach it.
        if (source.current() !== current) server.replaceCertificate(source.current())
        return server
      },
      () => log(aloneOn127('the proxy')),
    )
    const taken = listening[0].port
    const redirects = httpPort === null ? [] : await openRedirects(httpPort, taken)
    return {
      port: taken,
      close: async () => {
        source.stop()
        await Promise.all([...servers, ...redirects].map((server) => server.close()))
      },
    }
  } catch (error) {
    source.stop()
    await Promise.all(servers.map((server) => server.close({ drainMilliseconds: 0 })))
    throw error
  }
}

const rootsOf = async (state: StateDirectory): Promise<string[]> =>
  (await readScopes(state)).map(({ root }) => root.toString())

/** Redirects plain HTTP where that port can be had; the proxy does without it. */
async function openRedirects(
  port: number,
  httpsPort: number,
): Promise<readonly { close(): Promise<void> }[]> {
  try {
    return await listenOnLoopback(
      port,
      (host, chosen) => startHttpsRedirect(host, chosen, httpsPort),
      () => undefined,
    )
  } catch {
    return []
  }
}

/** The most names without a certificate that are logged until the daemon is restarted. */
const mostRefusals = 100

/** Logs each name that gets no certificate once. */
function createRefusals(log: (line: string) => void): (name: string, error: unknown) => void {
  const told = new Set<string>()
  return (name, error) => {
    if (told.has(name) || told.size >= mostRefusals) return
    told.add(name)
    log(`proxy: no certificate for ${name}: ${messageOf(error)}`)
  }
}
