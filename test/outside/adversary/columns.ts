import { findClients } from '../interop/clients.ts'
import { findVerifiers } from '../interop/verifiers.ts'
import type { Forgery } from './forgeries.ts'

/** A column of docs/security-lab.md: a verifier, and which of the forgeries it can be shown. */
export interface Column {
  readonly name: string
  version(): Promise<string>
  /** As of a `Verifier`. */
  readonly short?: 'few' | 'none'
  /** Whether the forgery asks the verifier for something that it looks at. */
  asks(forgery: Forgery): boolean
  /** In the order of the forgeries: `null` accepted it, otherwise what it said. */
  verdicts(directory: string, forgeries: readonly Forgery[]): Promise<(string | null)[]>
}

/** Claims that a client finds by comparing a host with the subject. */
const bySubject = ({ shape: { family }, use }: Forgery): boolean =>
  use === 'server' && (family === 'common names' || family === 'other attributes')

/** What a verifier is not asked by its program, so that it cannot refuse it either. */
const beyond: readonly (readonly [verifier: RegExp, what: (forgery: Forgery) => boolean])[] = [
  // vfychain has no option for a host or a mailbox, and CertPathValidator compares none with a
  // subject: such a chain claims nothing to them.
  [/vfychain|CertPathValidator/, bySubject],
  [/vfychain/, ({ title }) => /a NUL before|a second|in the subject|mailbox as CN/.test(title)],
]

/** Every verifier of this machine, and the names of those that it lacks. */
export async function findColumns(): Promise<{ found: Column[]; missing: string[] }> {
  const [verifiers, clients] = [await findVerifiers(), await findClients()]
  const ofVerifiers = verifiers.found
    // Node's X509Certificate reads no constraints; its handshake, which does, is a client.
    .filter(({ name }) => !name.startsWith('X509Certificate'))
    .map((verifier) => ({
      ...verifier,
      asks: (forgery: Forgery) =>
        !beyond.some(([who, what]) => who.test(verifier.name) && what(forgery)) &&
        !/purpose/.test(verifier.exempt(forgery, 'accepted') ?? ''),
    }))
  const ofClients = clients.found.map((client) => ({
    ...client,
    asks: ({ use, identifier: { type }, asked }: Forgery) =>
      use === 'client'
        ? client.judgesClients === true
        : use === 'server' && asked !== '' && (type === 'dns' || type === 'ip'),
  }))
  return {
    found: [...ofVerifiers, ...ofClients],
    missing: [...new Set([...verifiers.missing, ...clients.missing])],
  }
}
