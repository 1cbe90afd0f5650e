import { mkdir, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { createMachine } from '../../../platform/machine.ts'
import { requireScopes } from '../../authority.ts'
import { launchdService, systemdService, windowsTask, type Service } from '../../daemon/services.ts'
import { exists, shellWord, unwritable, writeFileAtomic } from '../../storage/files.ts'
import { exitCodes, type ArgumentsOf, type ExitCode } from '../command.ts'
import type { Context } from '../context.ts'
import { lean } from './daemon.ts'
import type { daemonStatusSpec } from '../table.ts'

/** `rootling daemon install`: at each login, by the system's own service manager. */
export async function daemonInstall(
  _args: ArgumentsOf<typeof daemonStatusSpec>,
  context: Context,
): Promise<ExitCode> {
  const { output, state } = context
  await requireScopes(state)
  const service = serviceOf(context)
  await mkdir(dirname(service.path), { recursive: true }).catch((error: unknown) => {
    throw unwritable(service.path, error)
  })
  await writeFileAtomic(service.path, { data: service.text, mode: 0o644 }, state.owner)
  const enabled = await runAll(service.enable, context)
  if (!enabled) output.note(`To start it: ${typed(service.enable)}`)
  output.result(service.path, { path: service.path, enabled })
  return enabled ? exitCodes.ok : exitCodes.failed
}

/** `rootling daemon uninstall`; absent is success. */
export async function daemonUninstall(
  _args: ArgumentsOf<typeof daemonStatusSpec>,
  context: Context,
): Promise<ExitCode> {
  const { output } = context
  const service = serviceOf(context)
  const installed = await exists(service.path)
  if (installed) {
    await runAll(service.disable, context)
    await rm(service.path, { force: true })
  }
  output.note(installed ? 'The daemon starts at login no more.' : 'The daemon was not installed.')
  output.result('', { path: service.path, removed: installed })
  return exitCodes.ok
}

function serviceOf({ env, state }: Context): Service {
  const named = state.authority === undefined ? [] : ['--ca', state.authority]
  const command = {
    program: process.execPath,
    args: [...lean, process.argv[1] ?? '', 'daemon', 'run', '--quiet', ...named],
    home: env['ROOTLING_HOME'],
  }
  switch (process.platform) {
    case 'darwin':
      return launchdService(command)
    case 'win32':
      return windowsTask(command, state.path)
    default:
      return systemdService(command, env['XDG_CONFIG_HOME'])
  }
}

/** Whether every command went well; the first that does not is told and ends the row. */
async function runAll(
  commands: readonly (readonly string[])[],
  { env, output }: Context,
): Promise<boolean> {
  const machine = await createMachine({ env })
  for (const [name = '', ...args] of commands) {
    const program = await machine.find(name)
    if (program === null) {
      output.warn(`${name} is not on this machine.`)
      return false
    }
    const { exitCode, stderr } = await machine.change(program, args, { as: 'person' })
    if (exitCode !== 0) {
      output.warn(`${name} ${args.join(' ')} failed: ${stderr.trim().split('\n')[0]}`)
      return false
    }
  }
  return true
}

function typed(commands: readonly (readonly string[])[]): string {
  return commands.map((words) => words.map(shellWord).join(' ')).join(' && ')
}
