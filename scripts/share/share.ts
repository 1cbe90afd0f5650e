import { completionFiles, completionScript, shells } from '../../src/cli/completion/scripts.ts'
import { commands } from '../../src/cli/table.ts'

export { commandsDocument } from './commands-document.ts'
export { manualPages } from './manual.ts'

/** The completion scripts by the names of their files. */
export const completionScripts = (): Record<string, string> =>
  Object.fromEntries(
    shells.map((shell) => [completionFiles[shell], completionScript(shell, commands)]),
  )
