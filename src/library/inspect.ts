import { checkOptions, text } from '../arguments.ts'
import type { Inspected } from '../doctor/inspection.ts'
import type { ShowTarget } from '../doctor/show.ts'
import { RootlingError } from '../errors.ts'
import { givenStateDirectory } from '../home/state-directory.ts'
import { stateOptions, systemClock, type StateOptions } from './state.ts'

/** The options of `inspect`. */
export interface InspectOptions extends StateOptions {
  /** The password of a PKCS #12 file or of an encrypted private key. */
  readonly password?: string
}

/** What was found at a target. */
export interface Inspection extends Inspected {
  /** A sentence for each certificate in a bundle that cannot be read. */
  readonly warnings: readonly string[]
}

/** In octets; the bundles of public roots have a quarter of a megabyte. */
const largest = 16 * 1024 * 1024

/**
 * Says what a certificate holds, and who would refuse it and why. `target` is the certificate itself
 * in PEM or DER, or where it is: the path of a file, an `https:` or `file:` URL, a server as
 * `localhost:8443`, or the serial number of one on record here. What else a file holds is shown too:
 * requests, private keys (their public facts), CRLs, OCSP responses, PKCS #12. Of a server only the
 * handshake is made, which takes ten seconds at most, and no request is sent. Nothing is trusted or
 * changed. Throws `usage` for what is no target, a serial number that is not on record and a password
 * that is missing; `bad-certificate` (no certificate, or more than 16 MiB), `bad-der`, `bad-key`,
 * `file-unreadable`, `connect-failed`, `corrupt-state` and `newer-state`.
 *
 * @example
 * import { certificateFor, inspect } from 'rootling'
 *
 * const { cert } = await certificateFor('localhost')
 * const [leaf] = (await inspect(cert)).certificates
 * console.log(`good for ${leaf.daysLeft} days`)
 * for (const { rejectedBy, sentence } of leaf.findings) console.log(`${rejectedBy}: ${sentence}`)
 */
export async function inspect(
  target: string | Uint8Array | URL,
  options: InspectOptions = {},
): Promise<Inspection> {
  const password = { ...text("'…'"), secret: true } as const
  checkOptions('inspect', options, { password, ...stateOptions })
  const [{ completerOf, plain }, { show }, { inspectionOf }] = await Promise.all([
    import('./world.ts'),
    import('../doctor/show.ts'),
    import('../doctor/inspection.ts'),
  ])
  const state = await givenStateDirectory(options.home)
  const now = (options.now ?? systemClock)()
  const found = await targetOf(target, options)
  const shown = await withPasswordHint(() => show(state, found, now))
  const { unreadable: warnings } = shown
  return plain({ ...inspectionOf(found.from, shown, now), warnings }, completerOf(options))
}

const targetHint =
  "inspect('cert.pem'), inspect(pem), inspect(der), inspect(new URL('https://localhost'))"

async function targetOf(
  target: string | Uint8Array | URL,
  options: InspectOptions,
): Promise<ShowTarget> {
  if (target instanceof Uint8Array) return contentsOf(Buffer.from(target), 'target', options)
  if (target instanceof URL) return targetOfUrl(target, options)
  if (target === '') throw new RootlingError('usage', 'target is empty.', { hint: targetHint })
  if (typeof target !== 'string')
    throw new RootlingError(
      'usage',
      `A certificate cannot be ${target === null ? 'null' : `of the type ${typeof target}`}.`,
      { hint: targetHint },
    )
  if (target.includes('-----BEGIN ')) return contentsOf(Buffer.from(target), 'target', options)
  if (/^[a-z][a-z\d+.-]*:\/\//i.test(target)) {
    if (URL.canParse(target)) return targetOfUrl(new URL(target), options)
    const { shortened } = await import('../printable.ts')
    throw new RootlingError('usage', `“${shortened(target, 200)}” is not a URL.`)
  }
  const { showTargetOf } = await import('../doctor/show.ts')
  const found = showTargetOf(target)
  return found.from === 'file' ? contentsAt(target, options) : found
}

async function targetOfUrl(url: URL, options: InspectOptions): Promise<ShowTarget> {
  if (url.protocol === 'https:') {
    const { parseTarget } = await import('../client/target.ts')
    const { host, port } = parseTarget(url.href)
    return { from: 'server', host, port }
  }
  if (url.protocol !== 'file:')
    throw new RootlingError('usage', `Only https: and file: URLs can be read, not ${url.protocol}`)
  const { fileURLToPath } = await import('node:url')
  let path: string
  try {
    path = fileURLToPath(url)
  } catch (cause) {
    throw new RootlingError('usage', `${url.href.slice(0, 200)} is not the URL of a file here.`, {
      cause,
    })
  }
  return contentsAt(path, options)
}

async function contentsAt(file: string, options: InspectOptions): Promise<ShowTarget> {
  const { default: path } = await import('node:path')
  const { readInputBytes } = await import('../files/read-input.ts')
  return contentsOf(await readInputBytes(path.resolve(file), { most: largest }), file, options)
}

function contentsOf(contents: Buffer, name: string, { password }: InspectOptions): ShowTarget {
  if (contents.length > largest)
    throw new RootlingError('bad-certificate', `${name} is larger than ${largest} bytes.`)
  return {
    from: 'file',
    contents,
    name,
    passphrase: password,
    withPassword: async (open) => {
      if (password !== undefined) return open(password)
      throw new RootlingError('usage', `${name} needs its password.`, { hint: passwordHint })
    },
  }
}

const passwordHint = "inspect(target, { password: '…' })"

/** Runs `work`, and gives the error of a wrong password a hint that fits the library. */
async function withPasswordHint<T>(work: () => Promise<T>): Promise<T> {
  const { WrongPassword } = await import('../errors.ts')
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof WrongPassword)) throw error
    throw new RootlingError(error.code, error.message, { hint: passwordHint, cause: error })
  }
}
