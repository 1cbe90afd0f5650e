import { createHash } from 'node:crypto'
import { readdir, readFile, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { finding, type Finding } from '../codes.ts'
import type { Checked, Known } from './check.ts'
import { readSmall } from './read.ts'

/** The programs of each family, as the kernel names their processes (15 octets at most). */
const families = {
  Chromium: ['chromium', 'chrome', 'brave', 'msedge', 'vivaldi-bin', 'opera'],
  Firefox: ['firefox', 'firefox-esr', 'firefox-bin', 'librewolf', 'zen', 'waterfox', 'floorp'],
} as const

/** Finds browsers that run since before the root was installed, and HSTS that they remember. */
export async function checkBrowsers(known: Known): Promise<Checked> {
  const [running, remembered] = await Promise.all([
    oldProcesses(known),
    rememberedHsts(known, ['localhost']),
  ])
  return {
    check: 'browsers',
    subjects: Object.keys(families),
    findings: [...running, ...remembered],
  }
}

/** One process of a browser. */
interface Process {
  readonly id: number
  readonly name: string
  readonly parent: number
  /** Milliseconds since 1970. */
  readonly started: number
}

async function oldProcesses(known: Known): Promise<Finding[]> {
  const { stores, outcomes, machine, world } = known
  if (process.platform !== 'linux') return []
  const trusting = new Set(
    outcomes.filter(({ outcome }) => outcome === 'trusted').map(({ store }) => store.id),
  )
  // The memory of the stores is written by each install, and a database also by its browser: only
  // where both changed after the start, the browser may not know the root.
  const remembered = await changed(join(world.state.path, 'stores.json'))
  const processes = await browserProcesses(machine.person.uid)
  const findings: Finding[] = []
  for (const [family, names] of Object.entries(families)) {
    const own = processes.filter(({ name }) => names.some((each) => each === name))
    const main = own.filter(({ parent }) => !own.some(({ id }) => id === parent))
    const files = stores
      .filter(({ id }) => trusting.has(id) && familyOf(id) === family)
      .map(({ id }) => fileOf(id))
    const times = await Promise.all(files.map(changed))
    const installed = Math.min(remembered, Math.max(0, ...times))
    for (const { id } of main.filter((each) => each.started + 1_000 < installed).slice(0, 1))
      findings.push(finding('restart-browser', family, { browser: family, process: id }))
  }
  return findings
}

const familyOf = (id: string): string | null => {
  if (id.startsWith('firefox-policies:')) return 'Firefox'
  if (!id.startsWith('nss:/')) return null
  return /\/pki\/nssdb$|\.pki\/nssdb$/.test(id) ? 'Chromium' : 'Firefox'
}

const fileOf = (id: string): string => {
  const directory = id.slice(id.indexOf(':') + 1)
  return join(directory, id.startsWith('nss:') ? 'cert9.db' : 'policies.json')
}

const changed = async (path: string): Promise<number> =>
  (await stat(path).catch(() => null))?.mtimeMs ?? 0

/** Linux counts the start of a process in hundredths of a second since the machine started. */
async function browserProcesses(uid: number): Promise<Process[]> {
  const boot = Number(/^btime (\d+)$/m.exec((await readText('/proc/stat')) ?? '')?.[1])
  const ids = (await readdir('/proc').catch(() => [])).filter((name) => /^\d+$/.test(name))
  const names = new Set<string>(Object.values(families).flat())
  const found = await Promise.all(
    ids.map(async (id): Promise<Process[]> => {
      const read = parseProcessStat((await readText(`/proc/${id}/stat`)) ?? '')
      if (read === null || !names.has(read.name)) return []
      if ((await stat(`/proc/${id}`).catch(() => null))?.uid !== uid) return []
      const { name, parent, ticks } = read
      return [{ id: Number(id), name, parent, started: (boot + ticks / 100) * 1_000 }]
    }),
  )
  return found.flat()
}

/**
 * Reads /proc/PID/stat (proc(5)): the name of a process, its parent, and when it started, in
 * hundredths of a second since the machine did. `null`: the process has ended, which stays in the
 * list until its parent asks for its exit code.
 */
export function parseProcessStat(
  text: string,
): { readonly name: string; readonly parent: number; readonly ticks: number } | null {
  // The name is whatever the program chose, with brackets and spaces.
  const end = text.lastIndexOf(')')
  const fields = text.slice(end + 2).split(' ')
  const [state, parent, ticks] = [fields[0], Number(fields[1]), Number(fields[19])]
  if (end < 0 || state === 'Z' || !Number.isSafeInteger(parent) || !Number.isSafeInteger(ticks))
    return null
  return { name: text.slice(text.indexOf('(') + 1, end), parent, ticks }
}

const readText = async (path: string): Promise<string | null> =>
  readFile(path, 'latin1').catch(() => null)

/**
 * Finds what browsers remember of HSTS for these hosts. Firefox keeps the names in each profile.
 * Chromium keeps their hashes, so that only names which are known can be found.
 */
export async function rememberedHsts(
  { machine: { person }, stores, now }: Known,
  hosts: readonly string[],
): Promise<Finding[]> {
  const profiles = stores.flatMap(({ id }) =>
    id.startsWith('nss:/') && familyOf(id) === 'Firefox' ? [id.slice('nss:'.length)] : [],
  )
  const findings: Finding[] = []
  for (const profile of profiles)
    for (const name of ['SiteSecurityServiceState.bin', 'SiteSecurityServiceState.txt']) {
      const file = join(profile, name)
      const text = (await readSmall(file)) ?? ''
      for (const host of hosts.filter((each) => hasFirefoxEntry(text, each, now)))
        findings.push(
          finding('hsts-on-localhost', `Firefox ${host}`, {
            host,
            browser: `Firefox (${basename(profile)})`,
            file,
            remedy: `Close Firefox, then: History, Forget About This Site for ${host}`,
          }),
        )
    }
  for (const file of await chromiumStates(person.home)) {
    const text = (await readSmall(file)) ?? ''
    for (const host of hosts.filter((each) => hasChromiumEntry(text, each, now)))
      findings.push(
        finding('hsts-on-localhost', `Chromium ${host}`, {
          host,
          browser: 'Chromium',
          file,
          remedy: `Open chrome://net-internals/#hsts and delete the policies of ${host}`,
        }),
      )
  }
  return findings
}

/**
 * Whether Firefox remembers a host. An entry is the host, its partition if any, and then when it
 * ends, in milliseconds, its state (1: set), and whether it holds for hosts below. In the newer .bin
 * file zeros stand between the two.
 */
export function hasFirefoxEntry(text: string, host: string, now: Date): boolean {
  const name = host.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
  const entry = new RegExp(
    `(?:^|[^a-z.-])${name}(?:\\^[^\\0\\t:]{0,500})?(?::HSTS)?(?:\\0+|\\t\\d+\\t\\d+\\t)(\\d{13}),1,[01]`,
    'g',
  )
  return [...text.matchAll(entry)].some(([, end]) => Number(end) > now.getTime())
}

/** Whether Chromium remembers a host: by SHA-256 of its name in the form of DNS. */
export function hasChromiumEntry(text: string, host: string, now: Date): boolean {
  const labels = host.split('.').map((label) => `${String.fromCharCode(label.length)}${label}`)
  const hash = createHash('sha256')
    .update(`${labels.join('')}\0`, 'latin1')
    .digest('base64')
  try {
    const { sts } = JSON.parse(text) as { sts?: { host: string; expiry: number; mode: string }[] }
    return (sts ?? []).some(
      (entry) =>
        entry.host === hash && entry.mode === 'force-https' && entry.expiry * 1_000 > now.getTime(),
    )
  } catch {
    return false
  }
}

const userData = [
  'chromium',
  'google-chrome',
  'BraveSoftware/Brave-Browser',
  'microsoft-edge',
  'vivaldi',
]

async function chromiumStates(home: string): Promise<string[]> {
  const roots = userData.map((name) => join(home, '.config', name))
  const names = await Promise.all(roots.map((root) => readdir(root).catch(() => [])))
  return roots.flatMap((root, index) => {
    const profiles = (names[index] ?? []).filter((name) => /^(?:Default|Profile .*)$/.test(name))
    const places = ['TransportSecurity', 'Network/TransportSecurity']
    return profiles.flatMap((name) => places.map((place) => join(root, name, place)))
  })
}
