import type { ServerOptions } from 'node:https'
import type { SecureContext } from 'node:tls'
import type { ConfigEnv, Plugin, UserConfig } from 'vite'
import { checkedLater, checkOptions, namesOf } from '../arguments.ts'
import { isFullPath } from '../full-path.ts'
import type { ServerCertificate } from './certificate.ts'

/** What the plugin can be told. */
export interface RootlingPluginOptions {
  /**
   * Names for the certificate beside `localhost`, 127.0.0.1, ::1 and `server.host`: hosts,
   * wildcards or IP addresses, such as `shop.test`. Vite answers to them, too.
   */
  readonly names?: string | readonly string[]
  /** The state directory, an absolute path; default: the one that the command line uses. */
  readonly home?: string
}

/**
 * Returns a plugin of Vite 7 and 8 with which `vite` and `vite preview` serve HTTPS, by HTTP/2 and
 * HTTP/1.1, with a certificate of this machine's authority. The certificate is replaced while the
 * server runs when it is due for renewal or was revoked, or when the authority was rotated. Where
 * Vite listens on every address (`--host`), the certificate has those of this machine too.
 *
 * In CI, and where there is no authority or it cannot be used, Vite serves HTTP and says why in one
 * line. The plugin never asks, installs nothing, and leaves a `server.https` that is given, but for
 * `true` and `{}`, which lack a certificate. It does nothing in builds, in Vite's middleware mode and
 * under Vitest. It loads the library only when a server starts.
 *
 * @example
 * import rootling from 'rootling/vite'
 * import { defineConfig } from 'vite'
 *
 * export default defineConfig({ plugins: [rootling()] })
 */
export default function rootling(options: RootlingPluginOptions = {}): Plugin {
  checkOptions('rootling', options, {
    names: checkedLater("['shop.test']"),
    home: {
      allows: (value) => typeof value === 'string' && isFullPath(value),
      what: 'an absolute path',
      example: "path.resolve('state')",
    },
  })
  const { home } = options
  const names = namesOf(options.names ?? [], "rootling({ names: ['shop.test'] })")
  let served: ServerCertificate | null = null
  let renewed: SecureContext | undefined
  let refusal: string | null = null
  let isPreviewed = false

  return {
    name: 'rootling',
    // After the plugins that set `https` or `host`.
    enforce: 'post',
    apply: (_config, { command }) => command === 'serve' && !isSet('VITEST') && !isPrerendering(),
    async config(config, { isPreview = false }: ConfigEnv): Promise<UserConfig | undefined> {
      // Vite starts a server again with the plugins that it has.
      served = null
      renewed = undefined
      refusal = null
      if (!isOurs(config, isPreview)) return undefined
      isPreviewed = isPreview
      if (isSet('CI')) {
        refusal = 'CI is set'
        return undefined
      }
      const host = (isPreview ? config.preview?.host : undefined) ?? config.server?.host
      try {
        const { serverCertificate } = await import('./certificate.ts')
        served = await serverCertificate({ home, names, host })
      } catch (error) {
        refusal = sentenceOf(error)
        return undefined
      }
      // Paths, so that a key is in no configuration that somebody prints.
      const { certPath: cert, keyPath: key } = served.certificate
      // Vite has a server of its own for hot updates where `server.hmr.port` is set. Nothing but this
      // gives it another certificate. Without a context, Node takes the one of the server.
      const SNICallback: ServerOptions['SNICallback'] = (_name, done) => done(null, renewed)
      const https = { cert, key, SNICallback }
      if (isPreview) return { preview: { https } }
      // With HTTPS, Vite checks hosts in the requests of hot updates only.
      const allowedHosts = names.map((name) => name.replace(/^\*(?=\.)/, ''))
      return { server: { https, allowedHosts } }
    },
    configResolved({ logger, server }) {
      const exposed = served === null || isPreviewed ? null : exposureOf(served.home, server.fs)
      if (exposed !== null) logger.warn(`rootling: ${exposed}`)
      if (refusal !== null) logger.warn(`rootling: serving HTTP, not HTTPS: ${refusal}`)
      for (const address of served?.unsigned ?? [])
        logger.warn(`rootling: the certificate lacks ${address} → rootling ca permit ${address}`)
    },
    configureServer: ({ httpServer, config }) => follow(httpServer, config),
    configurePreviewServer: ({ httpServer, config }) => follow(httpServer, config),
  }

  /** Replaces the certificate of a server until it closes. */
  async function follow(server: object | null, { logger }: Pick<Reporting, 'logger'>) {
    if (served === null || !isSecure(server)) return
    const onFailed = (error: unknown): void =>
      logger.warn(`rootling: the certificate was not renewed: ${sentenceOf(error)}`)
    try {
      const following = await served.follow({
        replace({ cert, key }, context) {
          renewed = context
          server.setSecureContext({ cert, key })
        },
        onFailed,
      })
      server.once('close', () => following.stop())
    } catch (error) {
      // Such as an authority that was deleted since: Vite goes on with the certificate that it has.
      onFailed(error)
    }
  }
}

/** What is used of Vite's resolved configuration. */
interface Reporting {
  readonly logger: { warn(message: string): void }
}

/** What is used of a server that Vite made for HTTPS. */
interface SecureServer {
  setSecureContext(options: { readonly cert: string; readonly key: string }): void
  once(event: 'close', listener: () => void): unknown
}

const isSecure = (server: object | null): server is SecureServer =>
  server !== null && 'setSecureContext' in server

/** Whether Vite makes the server itself, and nobody else said whether it is to be secure. */
function isOurs({ server = {}, preview = {} }: UserConfig, isPreview: boolean): boolean {
  if (isPreview) return lacksCertificate(preview.https ?? server.https)
  return lacksCertificate(server.https) && !server.middlewareMode
}

/**
 * Says that Vite's dev server would give the state directory, with its keys, to whoever reaches the
 * server; `null`: it would not.
 */
function exposureOf(
  home: string,
  { strict, allow }: { readonly strict?: boolean; readonly allow: readonly string[] },
): string | null {
  if (strict === false)
    return `server.fs.strict is false, so Vite serves every file, also the keys in ${home} → name what it needs in server.fs.allow`
  const path = home.replaceAll('\\', '/')
  const around = allow.find((directory) =>
    `${path}/`.startsWith(`${directory.replace(/\/$/, '')}/`),
  )
  if (around === undefined) return null
  return `Vite serves ${home}, which holds keys, since it is in ${around} → narrow server.fs.allow, or move it`
}

/**
 * Whether a value of `https` says nothing of a certificate. `true` is of Vite 2 to 4 and still in
 * many configurations; with it alone, as with `{}`, browsers report ERR_SSL_VERSION_OR_CIPHER_MISMATCH.
 */
const lacksCertificate = (https: unknown): boolean =>
  https === undefined ||
  https === true ||
  (typeof https === 'object' && https !== null && Object.keys(https).length === 0)

/** Whether a variable is set, to other than what stands for no. */
const isSet = (variable: string): boolean =>
  !['', '0', 'false'].includes(process.env[variable] ?? '')

/**
 * Whether React Router or TanStack Start prerenders, which is a part of their build: Node fetches the
 * pages from a preview server, and trusts no authority of ours.
 * https://github.com/remix-run/react-router/issues/15274
 */
const isPrerendering = (): boolean => isSet('IS_RR_BUILD_REQUEST') || isSet('TSS_PRERENDERING')

/** Returns an error as one line, with what to type. */
function sentenceOf(error: unknown): string {
  const { message, hint } = error as { readonly message: string; readonly hint?: string }
  return hint === undefined ? message : `${message} → ${hint}`
}
