import { join, sep } from 'node:path'
import type { StateDirectory } from '../home/state-directory.ts'

/** The directory in the state directory that `kept.ts` writes to. */
export const keptDirectory = 'kept'

/** Whether a path is that of a file of `kept.ts`. */
export const isKept = ({ path: own }: StateDirectory, path: string): boolean =>
  path.startsWith(join(own, keptDirectory) + sep)
