import { RootlingError } from '../src/errors.ts'
import { expectSuccess, timeLimits } from './command.ts'
import { exists } from './file-status.ts'
import type { Machine } from './machine.ts'
import type { Unavailable } from './trust-store.ts'

/** A program that Rootling needs and that may not be installed. */
export type Tool = 'certutil' | 'update-ca-certificates' | 'update-ca-trust'

interface PackageManager {
  readonly program: string
  readonly install: readonly string[]
  readonly packages: Readonly<Partial<Record<Tool, string>>>
}

/**
 * The known package managers. The first that is on the machine is taken for the distribution's own.
 */
const packageManagers: readonly PackageManager[] = [
  {
    program: 'apt-get',
    install: ['install', '-y', '--no-install-recommends'],
    packages: { certutil: 'libnss3-tools', 'update-ca-certificates': 'ca-certificates' },
  },
  {
    program: 'dnf',
    install: ['install', '-y'],
    packages: { certutil: 'nss-tools', 'update-ca-trust': 'ca-certificates' },
  },
  {
    program: 'zypper',
    install: ['--non-interactive', 'install'],
    packages: { certutil: 'mozilla-nss-tools', 'update-ca-certificates': 'ca-certificates' },
  },
  {
    program: 'pacman',
    install: ['-S', '--noconfirm', '--needed'],
    packages: { certutil: 'nss', 'update-ca-trust': 'ca-certificates-utils' },
  },
  {
    program: 'apk',
    install: ['add'],
    packages: { certutil: 'nss-tools', 'update-ca-certificates': 'ca-certificates' },
  },
]

/** Whether the system is an image that dnf cannot change, such as Fedora Silverblue's. */
const isImage = (): Promise<boolean> => exists('/run/ostree-booted')

/**
 * Returns the command that installs a tool on this distribution, without sudo; `null`: none is known, or
 * it would count only after a restart.
 */
export async function toolInstallCommand(machine: Machine, tool: Tool): Promise<string[] | null> {
  if (await isImage()) return null
  for (const manager of packageManagers) {
    const name = manager.packages[tool]
    if (name === undefined) continue
    const program = await machine.find(manager.program, { forRoot: true })
    if (program !== null) return [program, ...manager.install, name]
  }
  return null
}

/**
 * Installs a tool from the distribution's repository, as root. Does not ask the person; the caller
 * of this function must have asked. Throws `tool-missing` when no package is known, `tool-failed`
 * when the installation fails.
 */
export async function installTool(machine: Machine, tool: Tool): Promise<void> {
  const command = await toolInstallCommand(machine, tool)
  const [program, ...args] = command ?? []
  if (program === undefined) {
    throw new RootlingError('tool-missing', `No package of this distribution is known for ${tool}.`)
  }
  const options = { as: 'root', timeLimit: timeLimits.download } as const
  const first = await machine.change(program, args, options)
  if (first.exitCode === 0) return
  // A fresh container has no package lists yet, so apt-get is tried again after an update.
  if (program.endsWith('/apt-get')) await machine.change(program, ['update'], options)
  expectSuccess(program, await machine.change(program, args, options))
}

/**
 * Returns what `availability` of a store answers when the tool that writes the store is missing.
 */
export async function missingTool(
  machine: Machine,
  tool: Tool,
  reason: string,
): Promise<Unavailable> {
  const install = await toolInstallCommand(machine, tool)
  return {
    available: false,
    code: 'missing-tool',
    reason,
    hint:
      install === null
        ? await hintWithout(tool)
        : `sudo ${[install[0]?.split('/').at(-1), ...install.slice(1)].join(' ')}`,
    tool: { program: tool, install },
  }
}

/** What a person does where no command installs a tool for the session that runs. */
async function hintWithout(tool: Tool): Promise<string> {
  if (tool === 'certutil' && (await isImage())) return 'rpm-ostree install nss-tools, and restart'
  if (tool === 'certutil' && (await exists('/etc/NIXOS')))
    return 'Add nssTools to environment.systemPackages, and rebuild'
  return `Install ${tool} with your package manager`
}
