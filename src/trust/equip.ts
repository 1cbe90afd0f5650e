import { installTool, type Tool } from '../../platform/packages.ts'
import type { TrustStore } from '../../platform/trust-store.ts'
import { RootlingError } from '../errors.ts'
import type { MachineStores } from './machine-stores.ts'
import type { TrustWorld } from './world.ts'

/**
 * Installs the programs that are needed to write the stores, such as certutil, where the person
 * agrees, and returns the stores, found anew when a program was installed. A store whose program is
 * still missing fails later, and its hint is the command that installs the program.
 */
export async function equipStores(
  { machine, stores, findAgain }: MachineStores,
  { confirm, report }: TrustWorld,
): Promise<readonly TrustStore[]> {
  const missing = new Map<string, string>()
  for (const store of stores) {
    const answer = await store.availability()
    if (!answer.available && answer.tool?.install != null)
      missing.set(answer.tool.program, `${answer.reason} ${answer.hint ?? ''}`.trim())
  }
  let installed = false
  for (const [program, reason] of missing) {
    if (!machine.dryRun && !(await confirm({ type: 'install-tool', program, reason }))) continue
    report({ type: 'tool-installing', program })
    try {
      await installTool(machine, program as Tool)
      installed = true
    } catch (error) {
      if (!(error instanceof RootlingError)) throw error
      report({ type: 'tool-failed', program, reason: error.message })
    }
  }
  return installed && !machine.dryRun ? findAgain() : stores
}
