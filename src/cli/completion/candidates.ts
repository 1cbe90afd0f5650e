import { readdirSync, writeSync } from 'node:fs'
import {
  authoritiesPath,
  isAuthorityName,
  stateDirectory,
  type StateDirectory,
} from '../../home/state-directory.ts'
import { printable, shortened } from '../../printable.ts'
import { commonNameIn } from '../../x509/subject.ts'
import { adoptCaller } from '../caller.ts'
import type { Completion } from '../command.ts'

/** A word that a shell offers, and what is said of it. */
type Candidate = readonly [word: string, about: string]

/** What is completed from this machine's state; the shells themselves know files and programs. */
type Listed = Exclude<Completion, 'files' | 'directories' | 'programs'>

/** More than anybody reads; a person types another letter instead. */
const most = 1_000

const longest = 200

/**
 * `rootling __complete LIST WORD…`, which completion scripts run while a person types the words:
 * prints a candidate a line, and behind a tab what it is. It reads and never writes; where something
 * is wrong it prints nothing, since an error would land in the line that is being typed.
 */
export async function printCandidates([list = '', ...words]: readonly string[]): Promise<void> {
  try {
    const read = Object.hasOwn(lists, list) ? lists[list as Listed] : undefined
    if (read === undefined) return
    const owner = await adoptCaller()
    const authority = list === 'authorities' ? undefined : authorityIn(words)
    const state = await stateDirectory(process.env, owner, authority)
    const text = new Map((await read(state)).filter(isSafe).slice(0, most))
    const lines = [...text].map(([word, about]) => `${word}\t${shortened(printable(about), 80)}\n`)
    writeSync(1, lines.join(''))
  } catch {
    // Nothing is offered then.
  }
}

/**
 * Whether a word can be offered: not where a terminal would not show it as it is, nor where it would
 * be taken for an option, or by fish for a home directory.
 */
const isSafe = ([word]: Candidate): boolean =>
  word !== '' && word.length <= longest && printable(word) === word && !/^[-~]/.test(word)

function authorityIn(words: readonly string[]): string | undefined {
  const joined = words.find((word) => word.startsWith('--ca='))?.slice('--ca='.length)
  const name = joined ?? words[words.indexOf('--ca') + 1 || words.length]
  return name !== undefined && isAuthorityName(name) ? name : undefined
}

const lists: Readonly<Record<Listed, (state: StateDirectory) => Promise<Candidate[]>>> = {
  authorities: async (state) =>
    readdirSync(authoritiesPath(state))
      .filter(isAuthorityName)
      .map((name) => [name, 'authority']),
  certificates: async (state) => certificates(state, () => true),
  clients: async (state) => certificates(state, (purpose) => purpose === 'client'),
  async hosts() {
    const { hostsFile, readHostsIfThere } = await import('../../hosts/hosts-file.ts')
    const { ownLines, parseHosts } = await import('../../hosts/block.ts')
    const lines = ownLines(parseHosts(readHostsIfThere(hostsFile(process.env))))
    return lines.map(({ name, address }) => [name, address])
  },
  async roots(state) {
    const { readTrustedRoots } = await import('../../storage/files/trusted-roots.ts')
    return (await readTrustedRoots(state)).map(({ label, source }) => [label, source])
  },
  async routes(state) {
    const { readRoutes } = await import('../../proxy/kept-routes.ts')
    const { everyHost } = await import('../../proxy/routes.ts')
    const routes = await readRoutes(state)
    return routes.filter(({ host }) => host !== everyHost).map(({ host, to }) => [host, to])
  },
  async scopes(state) {
    const { scopeNames } = await import('../../storage/files/scopes.ts')
    return (await scopeNames(state)).map((name) => [name, 'scope'])
  },
}

/** The names of certificates that are current, the newest first. */
async function certificates(
  state: StateDirectory,
  isMeant: (purpose: string) => boolean,
): Promise<Candidate[]> {
  const { readNewestFirst } = await import('../../storage/files/record.ts')
  const found: Candidate[] = []
  for (const page of readNewestFirst(state, { all: false, onDamage: () => {} })) {
    for (const { certificate, forgotten } of page) {
      if (forgotten || !isMeant(certificate.purpose)) continue
      const { identifiers, notAfter, certPath, subject = '' } = certificate
      const about = `until ${notAfter.slice(0, 10)}, ${certPath ?? 'printed'}`
      for (const name of [
        ...identifiers.map(({ value }) => value),
        commonNameIn(subject) ?? subject,
      ])
        found.push([name, about])
    }
    if (found.length >= most) break
  }
  return found
}
