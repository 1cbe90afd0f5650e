import { readFile } from 'node:fs/promises'
import { createAcmeServer, type AcmeServer, type AcmeServerOptions } from '../../src/acme/server.ts'
import { ensureAuthority } from '../../src/authority/create.ts'
import { issue } from '../../src/certificates/issue.ts'
import type { StateDirectory } from '../../src/home/state-directory.ts'
import type { Handler } from '../../src/server/http.ts'
import { linuxSockets } from '../../src/server/linux-sockets.ts'
import { createSocketOwners } from '../../src/server/socket-owner.ts'
import { createHttpsServer } from '../../src/server/https.ts'

/** An ACME server on a port of its own, with a certificate of the same authority. */
export interface Acme {
  readonly state: StateDirectory
  /** `https://localhost:PORT/acme/directory`. */
  readonly directory: string
  readonly port: number
  /** The root: PEM, and its file. */
  readonly root: string
  readonly rootPath: string
  readonly server: AcmeServer
  /** What the server reported as its own fault. */
  readonly errors: readonly unknown[]
  /** Throws where the server had any. */
  close(): Promise<void>
}

export type AcmeSetup = Partial<
  Pick<
    AcmeServerOptions,
    'options' | 'now' | 'authority' | 'revocationUrl' | 'store' | 'eabCommand'
  >
> & {
  /** Default: a new one. */
  readonly state?: StateDirectory
  readonly port?: number
  /** The base URL; default: below `localhost` and the port. */
  readonly baseUrl?: string
  /** The host of the URL for other machines; default: there is none. */
  readonly remoteHost?: string
}

const users = [0, process.getuid?.() ?? 0]

export async function startAcme(setup: AcmeSetup = {}): Promise<Acme> {
  const now = setup.now ?? (() => new Date())
  const state = setup.state ?? (await makeState())
  const { scope } = await ensureAuthority(state, now())
  const { chain, key } = await issue(
    state,
    { names: ['localhost', '127.0.0.1', '::1'], files: null },
    now(),
  )
  const isStateless = setup.authority !== undefined && setup.store !== undefined
  const errors: unknown[] = []
  let open: (handler: Handler) => void = () => undefined
  const opened = new Promise<Handler>((resolve) => (open = resolve))
  const https = await createHttpsServer({
    pair: { cert: chain, key: key ?? '' },
    port: setup.port ?? 0,
    handler: async (request, response) => (await opened)(request, response),
    onHandlerError: (error) => errors.push(error),
  })
  const server = await createAcmeServer({
    state: isStateless ? undefined : state,
    now,
    baseUrl: setup.baseUrl ?? `https://localhost:${https.port}/acme`,
    ...(setup.remoteHost === undefined
      ? {}
      : { remoteUrl: `https://${setup.remoteHost}:${https.port}/acme` }),
    options: { http01Port: 1, tlsAlpn01Port: 1, ...setup.options },
    authority: setup.authority,
    store: setup.store,
    owners: process.platform === 'linux' ? createSocketOwners(linuxSockets, users) : null,
    revocationUrl: setup.revocationUrl,
    eabCommand: setup.eabCommand,
    onError: (error) => errors.push(error),
  })
  open(server.handler)
  return {
    state,
    directory: `https://localhost:${https.port}/acme/directory`,
    port: https.port,
    root: await readFile(scope.rootPath, 'utf8'),
    rootPath: scope.rootPath,
    server,
    errors,
    async close() {
      await https.close({ drainMilliseconds: 100 })
      await server.close()
      if (errors.length > 0) throw new Error('the server had errors of its own', { cause: errors })
    },
  }
}

/** Loaded when it is needed: it calls vitest's hooks, and this file also runs outside of vitest. */
async function makeState(): Promise<StateDirectory> {
  const { temporaryState } = await import('../helpers/temporary.ts')
  return temporaryState()
}
