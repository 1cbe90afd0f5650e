import { cp, mkdir, rm, symlink } from 'node:fs/promises'
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { ensureBuilt, project } from './built.ts'
import { npmProgram } from './npm-program.ts'
import { temporaryDirectory } from './temporary.ts'

/** A program that runs JavaScript, of another version or kind than the one that runs the tests. */
export interface OtherRuntime {
  readonly name: string
  /** The program, and what comes before the name of the script; `null`: it is not here. */
  readonly command: readonly [program: string, ...args: string[]] | null
  /** Why it is not here. */
  readonly missing: string | null
}

const { platform, arch } = process
const libc = platform === 'linux' ? '-glibc' : ''

/** By name: the npm package with its version, the program in it, and what comes before a script. */
const table = {
  'Node 22': [`node-${platform}-${arch}@22`, 'bin/node'],
  'Node 24': [`node-${platform}-${arch}@24`, 'bin/node'],
  'Node 26': [`node-${platform}-${arch}@26`, 'bin/node'],
  Deno: [`@deno/${platform}-${arch}${libc}@2`, 'deno', 'run', '-A'],
  Bun: [`@oven/bun-${platform}-${arch}@1.4`, 'bin/bun'],
  'Bun 1.3': [`@oven/bun-${platform}-${arch}@1.3`, 'bin/bun'],
} as const

type RuntimeName = keyof typeof table

/** Finds a runtime in its npm package. */
export async function otherRuntime(name: RuntimeName): Promise<OtherRuntime> {
  const [spec, file, ...args] = table[name]
  const kept = `rootling-${name === 'Bun' ? 'bun14' : name.toLowerCase().replaceAll(/[ .]/g, '')}`
  const { program, missing } = await npmProgram(spec, file, kept)
  return { name, command: program === null ? null : [program, ...args], missing }
}

/**
 * Returns the directory of a copy of the package, with its sources and as it was built, but without
 * the binary of the native add-on: so a system looks for which there is none.
 */
export async function packageWithoutAddon(): Promise<string> {
  ensureBuilt()
  const directory = await temporaryDirectory()
  const modules = join(directory, 'node_modules')
  const noMap = (path: string): boolean => !/\.map$|\/compiled$/.test(path)
  for (const part of ['dist', 'src', 'platform', 'package.json'])
    await cp(join(project, part), join(directory, part), { recursive: true, filter: noMap })
  const addon = 'fs-native-extensions'
  await cp(join(project, 'node_modules', addon), join(modules, addon), { recursive: true })
  await rm(join(modules, addon, 'prebuilds'), { recursive: true })
  for (const name of [...dependenciesOf('.'), ...dependenciesOf(`node_modules/${addon}`)]) {
    if (name === addon) continue
    await mkdir(dirname(join(modules, name)), { recursive: true })
    await symlink(join(project, 'node_modules', name), join(modules, name), 'junction')
  }
  return directory
}

function dependenciesOf(directory: string): string[] {
  const text = readFileSync(join(project, directory, 'package.json'), 'utf8')
  return Object.keys((JSON.parse(text) as { dependencies: object }).dependencies)
}
