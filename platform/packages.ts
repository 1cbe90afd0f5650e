import { RootlingError } from '../src/errors.ts'
import { expectSuccess, timeLimits } from './command.ts'
import type { Machine } from './machine.ts'
import type { Unavailable } from './trust-store.ts'

/** Programs that Rootling needs and a distribution may not have installed. */
export type Tool = 'certutil' | 'update-ca-certificates' | 'update-ca-trust'

interface PackageManager {
  readonly program: string
  readonly install: readonly string[]
  readonly packages: Readonly<Partial<Record<Tool, string>>>
}

/** The first that is on the machine is the distribution's own. */
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

/** The command that installs a tool on this distribution, without sudo; `null`: none is known. */
export async function toolInstallCommand(machine: Machine, tool: Tool): Promise<string[] | null> {
  for (const manager of packageManagers) {
    const name = manager.packages[tool]
    if (name === undefined) continue
    const program = await machine.find(manager.program, { forRoot: true })
    if (program !== null) return [program, ...manager.install, name]
  }
  return null
}

/**
 * Installs a tool from the distribution's repository, as root; the caller has asked the user.
 * Throws `tool-missing` where no package is known, `tool-failed` where the installation fails.
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
  // A fresh container has no package lists yet.
  if (program.endsWith('/apt-get')) await machine.change(program, ['update'], options)
  expectSuccess(program, await machine.change(program, args, options))
}

/** What `availability` of a store answers when its tool is not there. */
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
        ? `Install ${tool} with your package manager`
        : `sudo ${[install[0]?.split('/').at(-1), ...install.slice(1)].join(' ')}`,
    tool: { program: tool, install },
  }
}
