import { realpath, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { certificatesIn } from '../../../platform/pem.ts'
import { isTrusted, type Scope } from '../../authority/scope.ts'
import { RootlingError } from '../../errors.ts'
import { existsSync } from '../../files/exists.ts'
import { commandForEnv } from '../../runtimes/shells.ts'
import { quotedPath, shellWord } from '../../shell-word.ts'
import { finding, type Finding } from '../codes.ts'
import { javaTrustStore, rootsForJava } from '../java-options.ts'
import {
  readsSystemStore,
  rootVariables,
  settingsFiles,
  switches,
  systemRoots,
  type SettingsFile,
} from '../settings.ts'
import type { Checked, Known } from './check.ts'
import { readSmall, rootsInDirectory } from './read.ts'

/** Finds variables, settings and proxies that keep programs from trusting the roots. */
export async function checkEnvironment(known: Known): Promise<Checked> {
  const { env } = known.world
  const java = javaTrustStore(env, known.cwd)
  const places = { env, home: known.machine.person.home, cwd: known.cwd }
  const files = settingsFiles.flatMap((kind) => kind.places(places).map((path) => ({ kind, path })))
  const read = await Promise.all(
    files.map(async (each) => ({ ...each, text: await readSmall(each.path) })),
  )
  const present = read.flatMap(({ kind, path, text }) =>
    text === null ? [] : [{ kind, path, text }],
  )
  const findings = await Promise.all([
    ...rootVariables.map((variable) => judgeVariable(variable, known)),
    ...present.map((file) => judgeFile(file, known, places.home)),
  ])
  return {
    check: 'environment',
    subjects: [
      ...rootVariables.map(({ name }) => name).filter((name) => env[name] !== undefined),
      ...(java === null ? [] : [java.variable]),
      ...present.map(({ path }) => path),
    ],
    findings: [
      ...findings.flat(),
      ...(await judgeJava(known)),
      ...judgeSwitches(env),
      ...judgeProxy(known),
      ...judgeClock(known),
    ],
  }
}

/** What a file or directory of roots holds. */
type Holding = 'missing' | 'nothing' | 'all' | 'only ours' | 'without ours'

/** Finds out what a file holds, or with `directories` also a directory, for who reads those. */
async function holdingOf(path: string, known: Known, directories: boolean): Promise<Holding> {
  if (!existsSync(path)) return 'missing'
  const isDirectory = await stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  )
  if (isDirectory && !directories) return 'nothing'
  // Whether the system's own roots lack ours, the check of the stores tells.
  if (systemRoots.has(path) || systemRoots.has(await realpath(path).catch(() => path))) return 'all'
  const text = await readSmall(path)
  const ders = text === null ? await rootsInDirectory(path) : certificatesIn(text)
  if (ders.length === 0) return 'nothing'
  const held = new Set(ders.map((der) => der.toString('base64')))
  const ours = wantedScopes(known).map(formsOf)
  // A program that is not meant to know the roots lacks none.
  if (ours.length === 0) return 'all'
  const holds = (forms: readonly string[]): boolean => forms.some((form) => held.has(form))
  if (!ours.every(holds)) return 'without ours'
  const own = new Set(ours.flat())
  return [...held].every((each) => own.has(each)) ? 'only ours' : 'all'
}

/** The scopes whose roots belong into stores, and were not taken out of them. */
const wantedScopes = ({ scopes, untrusted }: Known): Scope[] =>
  scopes.filter((scope) => isTrusted(scope) && !untrusted.includes(scope.name))

/** The root of a scope, and the copies that OpenSSL reads in its place, in base64. */
const formsOf = ({ root, copies }: Scope): string[] =>
  [root.raw, ...certificatesIn(copies?.pem ?? '')].map((der) => der.toString('base64'))

async function judgeVariable(
  { name, adds, programs, directories, list }: (typeof rootVariables)[number],
  known: Known,
): Promise<Finding[]> {
  const value = known.world.env[name] ?? ''
  // libpq takes this word for the roots of the system.
  if (value === '' || value === 'system') return []
  const parts = list === true ? value.split(':').filter(Boolean) : [value]
  const holdings = await Promise.all(
    parts.map((part) => holdingOf(part, known, directories === true)),
  )
  if (holdings.every((holding) => holding === 'missing'))
    return [finding('variable-names-missing-file', name, { variable: name, value, programs })]
  if (holdings.includes('all')) return []
  const empty = holdings.every((holding) => holding === 'missing' || holding === 'nothing')
  if (adds) {
    const isEnough =
      wantedScopes(known).length === 0 ||
      holdings.includes('only ours') ||
      readsSystemStore(name, known.world.env)
    const command = commandForEnv(known.world.env)
    const details = { variable: name, value, programs, empty, command }
    return isEnough ? [] : [finding('variable-lacks-root', name, details)]
  }
  const only = holdings.includes('only ours')
  const details = { variable: name, value, programs, only, empty }
  return [finding('variable-replaces-roots', name, details)]
}

/** Judges the file of roots that variables give to Java. */
async function judgeJava(known: Known): Promise<Finding[]> {
  const store = javaTrustStore(known.world.env, known.cwd)
  const ours = wantedScopes(known).map(formsOf)
  if (store === null || ours.length === 0) return []
  const { variable, file } = store
  const reason = await rootsForJava(store, known).then(
    (ders) => {
      const held = new Set(ders.map((der) => der.toString('base64')))
      const isWhole = ours.every((forms) => forms.some((form) => held.has(form)))
      return isWhole ? null : 'it lacks the root'
    },
    (error: unknown) => {
      if (error instanceof RootlingError) return error.message.replace(/\.$/, '')
      throw error
    },
  )
  return reason === null
    ? []
    : [finding('java-options-replace-roots', variable, { variable, file, reason })]
}

interface Read {
  readonly kind: SettingsFile
  readonly path: string
  readonly text: string
}

async function judgeFile(
  { kind, path, text }: Read,
  known: Known,
  home: string,
): Promise<Finding[]> {
  const { program } = kind
  const { roots, off } = kind.read(text)
  const named = await Promise.all(
    roots.map(async ({ setting, value }) => {
      const file = expanded(value, known.world.env, home)
      const holding = await holdingOf(file, known, true)
      if (holding === 'all' || holding === 'only ours') return []
      const missing = holding === 'missing'
      return [
        finding('config-replaces-roots', path, {
          file: path,
          setting,
          value: file,
          missing,
          program,
        }),
      ]
    }),
  )
  return [
    ...named.flat(),
    ...off.map((setting) =>
      finding('verification-off', path, {
        what: `${quotedPath(path)} says ${setting}`,
        program,
        remedy: `Take ${setting} out of ${path}`,
      }),
    ),
  ]
}

/** Expands `~` and variables as these programs do. */
function expanded(value: string, env: Known['world']['env'], home: string): string {
  const plain = value
    .replace(/^(["'])(.*)\1$/, '$2')
    .replace(/\$\{(\w+)\}/g, (_, name: string) => env[name] ?? '')
  return plain.startsWith('~/') ? join(home, plain.slice(2)) : plain
}

const judgeSwitches = (env: Known['world']['env']): Finding[] =>
  switches
    .filter(({ name, value }) => value.test(env[name] ?? ''))
    .map(({ name, program }) =>
      finding('verification-off', name, {
        what: `${name} is ${env[name]}`,
        program,
        remedy: `unset ${name}`,
      }),
    )

/** A proxy cannot reach the loopback of this machine, and programs ask it for local names too. */
function judgeProxy({ world: { env } }: Known): Finding[] {
  const names = ['https_proxy', 'HTTPS_PROXY', 'all_proxy', 'ALL_PROXY']
  const name = names.find((each) => (env[each] ?? '') !== '')
  if (name === undefined) return []
  const excepted = (env['no_proxy'] ?? env['NO_PROXY'] ?? '').split(/[\s,]+/).map(withoutDot)
  const lacking = ['localhost', '127.0.0.1'].filter((each) => !excepted.includes(each))
  if (excepted.includes('*') || lacking.length === 0) return []
  const all = [
    ...excepted.filter(Boolean),
    ...lacking,
    ...(excepted.includes('::1') ? [] : ['::1']),
  ]
  return [
    finding('proxy-in-the-way', name, {
      sentence: `${name} is set and NO_PROXY lacks ${lacking.join(' and ')}, so curl and others ask the proxy for local servers.`,
      remedy: `export NO_PROXY=${shellWord(all.join(','))} no_proxy=${shellWord(all.join(','))}`,
    }),
  ]
}

const withoutDot = (name: string): string => name.replace(/^\./, '').toLowerCase()

/** Milliseconds by which clocks may differ without harm. */
const tolerance = 5 * 60_000

/** A clock that is behind the authority's first hour is wrong, or was when it was made. */
function judgeClock({ scopes, now }: Known): Finding[] {
  const made = Math.max(0, ...scopes.map(({ created }) => Date.parse(created) || 0))
  if (made <= now.getTime() + tolerance) return []
  const [is, was] = [now, new Date(made)].map((date) => date.toUTCString())
  return [finding('clock-wrong', 'the clock', { now: is ?? '', made: was ?? '' })]
}
