import { installTool, type Tool } from '../../platform/packages.ts'
import type { TrustStore } from '../../platform/trust-store.ts'
import { RootlingError } from '../errors.ts'
import type { MachineStores } from './machine-stores.ts'
import type { TrustWorld } from './world.ts'

/**
 * The stores, after installing the programs that they need to be written, such as certutil, where
 * the person agrees. A store whose program is still missing fails later, with the command that
 * installs it as its hint.
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
