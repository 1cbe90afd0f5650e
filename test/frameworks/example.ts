import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  cp,
  mkdir,
  mkdtemp,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { builtPrograms, project } from '../helpers/built.ts'
import { temporaryDirectory } from '../helpers/temporary.ts'

// A stranger's project made from a folder of examples/frameworks.

/** What examples/frameworks/frameworks.json says of an example; docs/frameworks.md shows it too. */
export interface Framework {
  /** The name of its folder. */
  readonly name: string
  readonly title: string
  /** Its main package, whose version is in the title. */
  readonly package: string
  /** Other versions of its packages that are tested too. */
  readonly also?: readonly Readonly<Record<string, string>>[]
  /** The files with the lines to add. */
  readonly show: readonly string[]
  /** What starts the server: an npm script, and more arguments, where PORT is the port. */
  readonly start: readonly string[]
  /** The major version of the Node that runs it: 20 where its packages take that. */
  readonly node: number
  /** The page with the greeting; absent: `/`. */
  readonly page?: string
  /** The protocol that Chromium speaks with it. */
  readonly protocol: 'h2' | 'http/1.1'
  /** The file that has the greeting of its page. */
  readonly edit: string
  /**
   * What happens when that file changes: `hot` updates the page in place; `reload` loads the page
   * anew; `restart` restarts the server, after which a person reloads.
   */
  readonly update: 'hot' | 'reload' | 'restart'
  /** The page for which the server fetches another page of itself; `null`: it runs no such code. */
  readonly self: string | null
  /** Whether it takes a new certificate while it runs. */
  readonly renews?: boolean
  /** Whether `npm test` runs it; otherwise only `npm run test:frameworks` does. */
  readonly fast?: boolean
  /** Whether it is no server but runs tests against one. */
  readonly runner?: boolean
  /** Why the tests do not run it; then it has no folder. */
  readonly untried?: string
  /** What else was seen, in sentences. */
  readonly notes?: readonly string[]
}

const examples = join(project, 'examples/frameworks')

/** Returns what is known of all examples. */
export async function readFrameworks(): Promise<readonly Framework[]> {
  return JSON.parse(await readFile(join(examples, 'frameworks.json'), 'utf8')) as Framework[]
}

interface Manifest {
  readonly scripts: Readonly<Record<string, string>>
  readonly dependencies?: Readonly<Record<string, string>>
  readonly devDependencies?: Readonly<Record<string, string>>
}

/** A directory with the example and its packages, or why its packages cannot be had. */
export type Prepared =
  | { readonly directory: string; readonly missing: null }
  | { readonly directory: null; readonly missing: string }

/**
 * Makes the directory of an example, with its packages and the built Rootling in node_modules. npm
 * installs the packages once for each set of versions, into node_modules/.cache; a registry that
 * does not answer is no failure but a reason to skip. `versions` replace those of the example.
 */
export async function prepareExample(
  name: string,
  versions: Readonly<Record<string, string>> = {},
): Promise<Prepared> {
  builtPrograms()
  const source = join(examples, name)
  const manifest = JSON.parse(await readFile(join(source, 'package.json'), 'utf8')) as Manifest
  const { rootling: _, ...packages } = {
    ...manifest.dependencies,
    ...manifest.devDependencies,
    ...versions,
  }
  const set = createHash('sha256').update(JSON.stringify(packages)).digest('hex').slice(0, 12)
  const directory = join(project, 'node_modules/.cache/rootling-frameworks', `${name}-${set}`)
  try {
    if (!(await exists(join(directory, 'node_modules')))) await install(packages, directory)
  } catch (error) {
    const [line] = String((error as { stderr?: string }).stderr || error)
      .trim()
      .split('\n')
    return { directory: null, missing: `the packages of ${name} cannot be had: ${line}` }
  }
  // Servers watch no files below a node_modules, where the packages are kept.
  const own = await temporaryDirectory()
  await cp(source, own, { recursive: true })
  const copy = 'cp -al "$1" "$2" || cp -a "$1" "$2"'
  const from = join(directory, 'node_modules')
  await promisify(execFile)('sh', ['-c', copy, 'sh', from, join(own, 'node_modules')])
  await symlink(project, join(own, 'node_modules/rootling'), 'junction')
  return { directory: own, missing: null }
}

/** Several test runs may do this at once, so each installs into a directory of its own. */
async function install(
  packages: Readonly<Record<string, string>>,
  directory: string,
): Promise<void> {
  await mkdir(join(directory, '..'), { recursive: true })
  const own = await mkdtemp(`${directory}-`)
  try {
    const manifest = { private: true, dependencies: packages }
    await writeFile(join(own, 'package.json'), JSON.stringify(manifest))
    const flags = ['--ignore-scripts', '--no-audit', '--no-fund', '--fetch-retries=2']
    const options = { cwd: own, timeout: 600_000 }
    await promisify(execFile)('npm', ['install', ...flags], options)
    await rename(own, directory).catch(() => {})
  } finally {
    await rm(own, { recursive: true, force: true })
  }
}

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  )

/** An example with versions of its packages, which replace its own. */
export interface WithVersions {
  readonly title: string
  readonly framework: Framework
  readonly versions: Readonly<Record<string, string>>
}

/** Returns an example with each set of versions that is tested. */
export const withVersions = (framework: Framework): readonly WithVersions[] =>
  [{}, ...(framework.also ?? [])].map((versions) => ({
    title: [framework.title, ...Object.values(versions)].join(' '),
    framework,
    versions,
  }))
