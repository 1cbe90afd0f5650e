import { quotedPath } from '../shell-word.ts'
import { isStandalone } from './packed.ts'

/** How the Rootling that runs was installed. */
export interface Installed {
  /** Whether it is the single executable; by default, whether this process is. */
  readonly standalone?: boolean
  /** Where the executable is. */
  readonly program?: string
}

/**
 * Says how to update the Rootling that runs, for the end of a hint. `asPackage` is what to type where
 * that is the package of npm, which would not replace the single executable.
 */
export function toUpdate(
  asPackage = 'npm install -g rootling@latest, or by what else installed it',
  { standalone = isStandalone(), program = process.execPath }: Installed = {},
): string {
  if (!standalone) return asPackage
  return `by the package that installed ${quotedPath(program)}, or put the executable of a newer release there`
}
