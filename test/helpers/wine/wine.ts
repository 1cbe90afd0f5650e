import { spawn, spawnSync } from 'node:child_process'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
} from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { buildGo } from '../go-program.ts'
import { command, ensureBuilt, mkcertCommand, project } from '../built.ts'
import { waitFor, type Finished } from '../subprocess.ts'

const wine = '/usr/lib/wine/wine64'
const wineserver = '/usr/lib/wine/wineserver64'

/** Programs that are stubs in Wine; a simulator stands for each. */
const simulated = ['whoami', 'icacls', 'certutil', 'schtasks', 'powershell']

/** Why nothing can run under Wine here; `null`: it can. */
export function whyNoWine(): string | null {
  if (!existsSync(wine) || !existsSync(wineserver)) return 'Wine is not installed'
  if (spawnSync('go', ['version']).status !== 0)
    return 'Go, which builds the simulators, is not here'
  return nodesForWindows().length > 0 ? null : 'Node for Windows is not here: npm test fetches it'
}

const nodes = join(project, 'node_modules/.cache/rootling-wine')

/** Returns the versions of Node for Windows that scripts/packages.mjs fetched, the oldest first. */
export function nodesForWindows(): string[] {
  if (!existsSync(nodes)) return []
  return readdirSync(nodes)
    .filter((version) => existsSync(nodeExe(version)))
    .toSorted()
}

const nodeExe = (version: string): string => join(nodes, version, 'package/bin/node.exe')

interface WineOptions {
  readonly cwd?: string
  readonly env?: Readonly<Record<string, string>>
  readonly input?: string
}

/** A program that is running under Wine. */
export interface WineProgram {
  readonly finished: Promise<Finished>
  /** Returns what it printed so far, on both streams. */
  readonly said: () => string
  kill(): void
}

/** A Windows of Wine, with one Node: an own drive C:, and the network of this machine. */
export interface Wine {
  /** The directory that is drive C:. */
  readonly drive: string
  /** Runs Node for Windows. */
  node(args: readonly string[], options?: WineOptions): Promise<Finished>
  start(args: readonly string[], options?: WineOptions): WineProgram
  rootling(args: readonly string[], options?: WineOptions): Promise<Finished>
  mkcert(args: readonly string[], options?: WineOptions): Promise<Finished>
  /** Returns the arguments of Node that run the built `rootling`. */
  readonly script: string
  /** Returns the paths of the simulators that ran since the last call. */
  ran(): string[]
  /** Reads the state of a simulator. */
  state(name: string): Record<string, unknown>
}

/** A prefix of Wine, which several Nodes share. */
export interface Prefix {
  open(node: string): Promise<Wine>
  close(): void
}

/** The path of a file of this machine as programs under Wine read it. */
export const onZ = (file: string): string => `Z:${file.replaceAll('/', '\\')}`

/** Makes a prefix of Wine, which takes half a minute on a slow machine. Close it after the tests. */
export async function makePrefix(): Promise<Prefix> {
  ensureBuilt()
  const home = mkdtempSync(join(tmpdir(), 'rootling-wine-'))
  const drive = join(home, 'pfx/drive_c')
  const machine = join(home, 'machine')
  mkdirSync(machine)
  const [anyNode = ''] = nodesForWindows()
  const env = {
    PATH: '/usr/bin:/bin',
    HOME: home,
    WINEPREFIX: join(home, 'pfx'),
    WINEDEBUG: '-all',
    LC_ALL: 'C.UTF-8',
    NODE_SKIP_PLATFORM_CHECK: '1',
    WINEDLLOVERRIDES: `${simulated.map((name) => `${name}.exe`).join(',')}=n;mscoree,mshtml=`,
    SIM_NODE: onZ(nodeExe(anyNode)),
    SIM_DIR: onZ(join(project, 'test/platform/simulators')),
    SIM_LOG: 'C:\\ran.log',
    SIMULATED_MACHINE: onZ(machine),
  }
  const close = (): void => {
    spawnSync(wineserver, ['-k', '-w'], { env })
    rmSync(home, { recursive: true, force: true })
  }
  try {
    for (const args of [
      ['wineboot', '-i'],
      ['winecfg', '-v', 'win10'],
    ])
      spawnSync(wine, args, { env, stdio: 'ignore' })
    const source = join(project, 'test/helpers/wine/shim.go')
    const shim = await buildGo(source, home, { GOOS: 'windows', GOARCH: 'amd64', CGO_ENABLED: '0' })
    for (const name of simulated) {
      const below = name === 'powershell' ? 'WindowsPowerShell/v1.0' : ''
      plant(shim, join(drive, 'windows/system32', below, `${name}.exe`))
    }
    // A Unix directory on the current drive, as any user of Windows can make one.
    for (const path of ['usr/bin/keytool.exe', 'usr/bin/java.exe', 'usr/lib/jvm/x/bin/keytool.exe'])
      plant(shim, join(drive, path))
    const cacerts = join(drive, 'usr/lib/jvm/x/lib/security/cacerts')
    mkdirSync(dirname(cacerts), { recursive: true })
    copyFileSync(join(project, 'package.json'), cacerts)
  } catch (error) {
    close()
    throw error
  }

  return {
    close,
    async open(node) {
      const portFile = join(home, `port-${node}`)
      const driver = onZ(join(project, 'test/helpers/wine/driver.mjs'))
      // From Z: our commands would find this machine's files, so the current drive is C:.
      spawn(wine, [onZ(nodeExe(node)), driver, onZ(portFile)], { env, cwd: drive, stdio: 'ignore' })
      const port = await waitFor('the driver in Wine', () =>
        existsSync(portFile) ? Number(readFileSync(portFile, 'utf8')) : null,
      )
      return wineOf(port, drive, machine)
    },
  }
}

function plant(shim: string, target: string): void {
  mkdirSync(dirname(target), { recursive: true })
  // Wine links its own programs, and a copy would write through the link.
  rmSync(target, { force: true })
  copyFileSync(shim, target)
}

function wineOf(port: number, drive: string, machine: string): Wine {
  const start: Wine['start'] = (args, { cwd = 'C:\\work', env = {}, input = '' } = {}) => {
    const socket = connect(port, '127.0.0.1')
    socket.write(`${JSON.stringify({ args, cwd, env, input })}\n`)
    const said = { stdout: '', stderr: '' }
    return {
      finished: finish(socket, said),
      said: () => said.stdout + said.stderr,
      kill: () => void socket.write('kill\n'),
    }
  }
  const node: Wine['node'] = (args, options) => start(args, options).finished
  const script = onZ(command)
  const log = join(drive, 'ran.log')
  return {
    drive,
    start,
    node,
    script,
    rootling: (args, options) => node([script, ...args], options),
    mkcert: (args, options) => node([onZ(mkcertCommand), ...args], options),
    ran() {
      const lines = existsSync(log) ? readFileSync(log, 'utf8').split('\n').slice(0, -1) : []
      rmSync(log, { force: true })
      return lines
    },
    state: (name) => JSON.parse(readFileSync(join(machine, `${name}.json`), 'utf8')),
  }
}

async function finish(socket: Socket, said: { stdout: string; stderr: string }): Promise<Finished> {
  for await (const line of createInterface({ input: socket })) {
    const { stdout = '', stderr = '', exitCode } = JSON.parse(line) as Partial<Finished>
    said.stdout += stdout
    said.stderr += stderr
    if (exitCode !== undefined) return { ...said, exitCode }
  }
  return { ...said, exitCode: null }
}
