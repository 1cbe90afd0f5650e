import { resolve } from 'node:path'
import { get } from '../client/get.ts'
import { RootlingError } from '../errors.ts'
import { readAdminAnswer } from '../replica/admin-requests.ts'
import { askAdmin } from '../replica/admin-socket.ts'
import { findSystemRoots } from '../../platform/system-roots.ts'
import type { Context } from './context.ts'
import { readCertificates, readInput } from './read-input.ts'
import { serverSocket } from './server-socket.ts'

/** Asks a team's server to do something, as its administrator. */
export type Asks = (
  method: string,
  parameters?: Readonly<Record<string, unknown>>,
) => Promise<unknown>

interface ServerArguments {
  readonly socket?: string | undefined
  readonly server?: string | undefined
  readonly 'cert-file'?: string | undefined
  readonly 'key-file'?: string | undefined
  readonly cacert?: string | undefined
}

/** The server's answer to a list of keys may be long. */
const longestAnswer = 64 * 1024 * 1024

/**
 * Returns what asks the server that the options name: by the socket on this machine, or over TLS. Throws
 * `usage` for options that do not fit together.
 */
export function serverOf(args: ServerArguments, context: Context): Asks {
  const { server, 'cert-file': cert, 'key-file': key, cacert: ca } = args
  if (server === undefined) {
    if ((cert ?? key ?? ca) === undefined)
      return (method, parameters) => askAdmin(serverSocket(args, context), method, parameters)
    throw new RootlingError(
      'usage',
      '--cert-file, --key-file and --cacert are for the server of another machine.',
      {
        hint: '--server https://ca.team.internal:14601',
      },
    )
  }
  if (cert === undefined || key === undefined)
    throw new RootlingError('usage', `${server} knows an administrator by a client certificate.`, {
      hint: '--cert-file FILE --key-file FILE; on the server’s machine: rootling server admin-cert create NAME',
    })
  const url = URL.canParse(server) ? new URL(server) : null
  if (url?.protocol !== 'https:' || url.href !== `${url.origin}/`)
    throw new RootlingError('usage', `--server ${server} is not an https URL without a path.`, {
      hint: '--server https://ca.team.internal:14601',
    })
  return async (method, parameters = {}) => {
    const { cwd, now } = context
    const [certPem, keyPem] = await Promise.all(
      [cert, key].map((path) => readInput(resolve(cwd, path))),
    )
    const { status, body } = await get(new URL(`/${method}`, url).href, {
      ca: ca === undefined ? await trustedRoots() : await readCertificates(resolve(cwd, ca)),
      clientCertificate: { cert: certPem ?? '', key: keyPem ?? '' },
      timeoutMilliseconds: 30_000,
      maxBodyBytes: longestAnswer,
      post: JSON.stringify(parameters),
      now,
    }).catch((error: unknown) => {
      throw hintingHere(error, url)
    })
    return readAdminAnswer(status, body.toString())
  }
}

/** The hints of `get` are for the servers of one machine: this returns the error with one for a team's. */
function hintingHere(error: unknown, { host }: URL): unknown {
  if (!(error instanceof RootlingError) || error.hint?.includes('rootling ') !== true) return error
  const hint =
    error.code === 'connect-failed'
      ? `See that the server is up, and that ${host} is its --admin-host and --admin-port`
      : error.hint.includes('--client')
        ? 'On the server’s machine: rootling server admin-cert create NAME'
        : error.hint.includes('rootling install')
          ? '--cacert FILE: the one ending in -ca.pem that admin-cert create wrote'
          : 'Name the server as its own --url does, with the port of --admin-port'
  return new RootlingError(error.code, error.message, { hint, cause: error })
}

const certificatePem = /-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----/gs

const trustedRoots = async (): Promise<readonly string[]> =>
  (await (await findSystemRoots()).read()).match(certificatePem) ?? []
