import type { FindingInJson } from '../doctor/codes.ts'
import type { Examination } from '../doctor/doctor.ts'
import type { StoreSelection } from './options.ts'

/** What is looked at. */
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
export interface Diagnosis extends Omit<Examination, 'findings'> {
  /**
   * What to see to first comes first. An `error` is something that is refused now, a `warning`
   * something that is unsafe or will be refused; a `note` is good to know, and nothing is wrong.
   */
  readonly findings: readonly FindingInJson[]
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
