import type { Namespace } from '../../helpers/namespace.ts'
import { run } from '../../helpers/subprocess.ts'
import { scrubbedEnvironment } from '../../helpers/scrubbed.ts'

/**
 * What a client made of a server. `trusted: false` means that it refused the certificate, and
 * nothing else: a closed port or a time-out is thrown, so that no refusal is green by accident.
 */
export type Verdict =
  | { readonly trusted: true; readonly body: string }
  | { readonly trusted: false; readonly reason: string }

/** A started client. It may remember what it has verified: after a change of trust, open anew. */
interface Session {
  fetch(url: string): Promise<Verdict>
  close(): Promise<void>
}

/** A program that makes TLS connections and decides by the stores of the machine whom to trust. */
export interface Client {
  readonly name: string
  /** Its point is that it did not exist before the install: open it only then, or later. */
  readonly bornLater?: true
  /** Why it cannot run on this machine, for the title of a skipped test; `null` where it can. */
  unavailable(): Promise<string | null>
  open(namespace: Namespace): Promise<Session>
}

/** Opens the client, visits the URLs one after the other, closes it, and returns the verdicts. */
export async function visit(
  client: Client,
  namespace: Namespace,
  urls: readonly string[],
): Promise<Verdict[]> {
  const session = await client.open(namespace)
  try {
    const verdicts: Verdict[] = []
    for (const url of urls) verdicts.push(await session.fetch(url))
    return verdicts
  } finally {
    await session.close()
  }
}

/** The reason `PROGRAM is not installed`, or `null` where the scrubbed PATH has it. */
export async function notInstalled(program: string): Promise<string | null> {
  const found = await run('sh', ['-c', 'command -v "$1"', 'sh', program], scrubbedEnvironment('/'))
  return found.exitCode === 0 ? null : `${program} is not installed`
}

/** The error of a client that failed for another reason than the certificate. */
export function unexpected(client: string, url: string, said: string): Error {
  return new Error(`${client} neither fetched ${url} nor refused its certificate: ${said.trim()}`)
}
