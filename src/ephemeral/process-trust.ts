import type { SecureContext, SecureContextOptions } from 'node:tls'
import { RootlingError } from '../errors.ts'

/**
 * The trust of this process, which ends with `dispose` or `using`. Connections that are open stay
 * open.
 */
export interface ProcessTrust extends Disposable {
  /** Ends the trust; may be called again. */
  readonly dispose: () => void
}

/** What is used of Node's module. The first two came with Node 22.19 and 24.5. */
interface Tls {
  getCACertificates?: (type: 'default') => readonly string[]
  setDefaultCACertificates?: (certificates: readonly string[]) => void
  createSecureContext: (options?: SecureContextOptions) => SecureContext
}

/**
 * Makes this process's TLS clients trust a root beside the others: `fetch`, `node:https`, undici
 * and all that is built on Node's TLS, where no `ca` of their own is given. Throws `unsupported` in
 * Bun and Deno, where the change would not reach fetch.
 */
export async function trustInProcess(root: string): Promise<ProcessTrust> {
  for (const name of ['Bun', 'Deno'])
    if (name.toLowerCase() in process.versions)
      throw new RootlingError(
        'unsupported',
        `${name} does not let a program change the roots that its fetch trusts.`,
        {
          hint: 'Start the program with the variables of environment(), or give the client ca: root',
        },
      )
  const tls: Tls = (await import('node:tls')).default
  const dispose = tls.setDefaultCACertificates ? setDefaults(tls, root) : wrap(tls, root)
  return { dispose, [Symbol.dispose]: dispose }
}

function setDefaults(tls: Tls, root: string): () => void {
  const change = (change: (before: readonly string[]) => readonly string[]): void =>
    tls.setDefaultCACertificates?.(change(tls.getCACertificates?.('default') ?? []))
  change((before) => [...before, root])
  return () => change((before) => before.filter((pem) => !isSame(pem, root)))
}

/** Node writes PEM with a final newline or without one. */
const isSame = (one: string, other: string): boolean => one.trim() === other.trim()

/**
 * The roots that `createSecureContext` adds in a Node that is older than 22.19, and what it was
 * before.
 */
const added: string[] = []

/**
 * Adds a root by a replacement of `tls.createSecureContext`, which Node itself calls for each
 * connection. `addCACert` of the context inside is not documented; Node calls it for `ca`, and it
 * keeps the default roots.
 */
function wrap(tls: Tls, root: string): () => void {
  if (added.length === 0) {
    const original = tls.createSecureContext
    tls.createSecureContext = (options) => {
      const secure = original(options)
      if (options?.ca === undefined || options.ca === null)
        for (const pem of added) (secure.context as Native).addCACert(pem)
      return secure
    }
  }
  added.push(root)
  return () => {
    const at = added.indexOf(root)
    if (at >= 0) added.splice(at, 1)
  }
}

interface Native {
  addCACert(pem: string): void
}
