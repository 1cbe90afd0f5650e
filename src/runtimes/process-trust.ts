/// <reference lib="esnext.disposable" preserve="true" />
import type { SecureContext, SecureContextOptions } from 'node:tls'

/**
 * The trust of this process, which ends with `dispose` or `using`. Connections that are open stay
 * open, and an agent that resumes a TLS session of one looks at no root again.
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

export interface ProcessTrustOptions {
  /**
   * Whether `tls.createSecureContext` may be replaced in a Node that has no function for the purpose.
   */
  readonly mayReplace: boolean
}

/**
 * Makes this process's TLS clients trust roots, PEM, beside the others: `fetch`, `node:https`,
 * undici and all that is built on Node's TLS, where no `ca` of their own is given. Returns `null`
 * where that cannot be done: in Bun and Deno, where the change would not reach fetch, and in an older
 * Node in which nothing may be replaced.
 */
export async function trustInProcess(
  roots: readonly string[],
  { mayReplace }: ProcessTrustOptions,
): Promise<ProcessTrust | null> {
  if ('bun' in process.versions || 'deno' in process.versions) return null
  const tls: Tls = (await import('node:tls')).default
  if (!mayReplace && !tls.setDefaultCACertificates) return null
  const before = new Set(tls.getCACertificates?.('default').map((pem) => pem.trim()))
  added.push(...roots)
  for (const root of roots) if (!before.has(root.trim())) ours.add(root.trim())
  apply(tls)
  let ended = false
  const dispose = (): void => {
    if (ended) return
    ended = true
    for (const root of roots) added.splice(added.indexOf(root), 1)
    apply(tls)
  }
  return { dispose, [Symbol.dispose]: dispose }
}

/** The roots that are trusted now, one for each trust that has not ended. */
const added: string[] = []
/**
 * The roots that were ever trusted only because of this module, not by NODE_EXTRA_CA_CERTS too, whose
 * roots stay. Without the final newline, which not all of Node's PEM has.
 */
const ours = new Set<string>()
let isWrapped = false

function apply(tls: Tls): void {
  if (tls.getCACertificates && tls.setDefaultCACertificates) {
    const others = tls.getCACertificates('default').filter((pem) => !ours.has(pem.trim()))
    tls.setDefaultCACertificates([...new Set([...others, ...added])])
  } else if (!isWrapped) {
    isWrapped = true
    wrap(tls)
  }
}

/**
 * Replaces `tls.createSecureContext`, which Node itself calls for each connection, by a function
 * that adds the roots. `addCACert` of the context inside is not documented; Node calls it for `ca`,
 * and it keeps the default roots.
 */
function wrap(tls: Tls): void {
  const original = tls.createSecureContext
  tls.createSecureContext = (options) => {
    const secure = original(options)
    if (options?.ca === undefined || options.ca === null)
      for (const pem of new Set(added)) (secure.context as Native).addCACert(pem)
    return secure
  }
}

interface Native {
  addCACert(pem: string): void
}
