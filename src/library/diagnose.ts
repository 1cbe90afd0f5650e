import type { FindingInJson } from '../doctor/codes.ts'
import type { StoreSelection } from './options.ts'

/** The options of `diagnose`. */
export interface DiagnoseOptions extends Pick<
  StoreSelection,
  'home' | 'now' | 'stores' | 'javaPasswordFile'
> {
  /** The directory whose project files count, such as `.npmrc`; default: the current one. */
  readonly cwd?: string
  /** Servers to visit, such as `https://localhost:8443`; the `https://` may be left out. */
  readonly urls?: readonly (string | URL)[]
  /** Whether to run the runtimes of this machine too, which takes seconds; default: `false`. */
  readonly runtimes?: boolean
}

/** What keeps programs from trusting the authority. */
export interface Diagnosis {
  /** What to see to first comes first. */
  readonly findings: readonly DiagnosisFinding[]
  /** What was looked at, such as `trust stores`, and which of them. */
  readonly checked: readonly {
    /** What was looked at. */
    readonly check: string
    /** Which of them. */
    readonly subjects: readonly string[]
  }[]
  /** Each server of `urls`. */
  readonly servers: readonly DiagnosedServer[]
}

/** Something that `diagnose` found. */
export interface DiagnosisFinding {
  /** Keeps its meaning across releases; all are in `src/doctor/codes.ts`. */
  readonly code: FindingInJson['code']
  /** What it is about, such as a store, a file, a variable or a URL. */
  readonly subject: string
  /**
   * `error`: something is refused now. `warning`: something is unsafe, or will be refused. `note`:
   * good to know; nothing is wrong.
   */
  readonly severity: 'error' | 'warning' | 'note'
  /** One sentence. */
  readonly sentence: string
  /** What to do: the command, where one helps. */
  readonly remedy: string
  /** The command to type; absent: no command helps. */
  readonly command?: string
  /** Whether `rootling doctor --fix` mends it. */
  readonly safe: boolean
}

/** A server that was visited, and what clients make of its certificate. */
export interface DiagnosedServer {
  /** The URL, in full. */
  readonly url: string
  /** The answers at each of its addresses, with the name of the host and without it. */
  readonly handshakes: readonly {
    /** The IP address. */
    readonly address: string
    /** The name that was sent; `null`: none was. */
    readonly serverName: string | null
    /** `refused`: nothing answers there. */
    readonly outcome: 'tls' | 'refused' | 'plain-http' | 'no-handshake'
    /** SHA-256 of the leaf, lower-case hex; `null`: none was shown. */
    readonly fingerprint: string | null
    /** OpenSSL’s code where it trusts every root that is known here; `null`: it accepts. */
    readonly refusal: string | null
  }[]
  /** Whether each kind of client accepts it; `null`: no store of it is on this machine. */
  readonly clients: readonly {
    /** The kind of client. */
    readonly client: string
    /** `null`: no store of it is on this machine. */
    readonly accepts: boolean | null
    /** Why it refuses, in sentences. */
    readonly why: readonly string[]
  }[]
}

/**
 * Looks for everything on this machine that keeps programs from trusting the authority, as `rootling
 * doctor` does: stores, variables of this process, browsers, files, certificates, and the servers
 * that are named. Changes nothing, and asks the person nothing; what cannot be read is a finding.
 * Throws `usage` and `file-unreadable` for options that mean nothing.
 *
 * @example
 * import { diagnose } from 'rootling'
 *
 * const { findings } = await diagnose()
 * for (const { severity, sentence, remedy } of findings)
 *   if (severity !== 'note') console.log(`${sentence}\n→ ${remedy}`)
 */
export async function diagnose(options: DiagnoseOptions = {}): Promise<Diagnosis> {
  const [
    { completerOf, plain, silentWorld, storeOptionsOf },
    { examine },
    { findingInJson },
    { parseTarget },
  ] = await Promise.all([
    import('./world.ts'),
    import('../doctor/doctor.ts'),
    import('../doctor/codes.ts'),
    import('../client/target.ts'),
  ])
  const { cwd = currentDirectory(), urls = [], runtimes = false } = options
  const { kinds, javaPasswordFile } = storeOptionsOf(options)
  const targets = urls.map((url) => parseTarget(String(url)))
  const world = await silentWorld(options)
  const examined = await examine(world, { kinds, javaPasswordFile, cwd, runtimes, targets })
  const complete = completerOf(options)
  const findings = examined.findings.map((each) => findingInJson(each, complete))
  return plain({ ...examined, findings }, complete)
}

/** Returns the directory of this process; `null`: it was deleted. */
function currentDirectory(): string | null {
  try {
    return process.cwd()
  } catch {
    return null
  }
}
