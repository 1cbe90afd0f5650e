import { readFileSync, statSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import path from 'node:path'
import { isFullPath } from '../../src/full-path.ts'
import { exists, isTaken, namesIn, readLatin1 } from '../file-status.ts'
import type { Actor, Machine } from '../machine.ts'
import { certificatesIn, createAnchor, distinctAnchors, holdsCertificate } from '../pem.ts'
import { isTrustedProgram } from '../programs.ts'
import { isReadOnly } from '../read-only.ts'
import {
  anchorPrefix,
  unsupported,
  type Available,
  type TrustAnchor,
  type TrustStore,
  type Unavailable,
} from '../trust-store.ts'
import { findReplaceable } from '../write-file.ts'
import { findFirefoxes, firefoxPlaces, ownPolicies, type Firefoxes } from './installations.ts'
import {
  addCertificate,
  filesToInstall,
  installedFiles,
  isOurs,
  refuse,
  removeCertificate,
} from './policies-text.ts'

/** The only directory below /etc in which Firefox on Linux looks for its policies. */
const policiesDirectory = '/etc/firefox/policies'

/**
 * The directory that is locked while policies.json is read and written: the policies' own directory
 * is made and removed.
 */
const lockedDirectory = '/etc'

/**
 * The largest policies file that is read, in bytes. A policies file is a page or two long, so a
 * larger file is something else.
 */
const sizeLimit = 1_000_000

/**
 * Finds the stores that install roots through Firefox's policies, which apply to every profile,
 * also to those made later. Firefox copies the root into the database of each profile that it
 * opens. The NSS stores of those databases remove the copies, which they find by their DER.
 *
 * The first store is the policies file below /etc, which every Firefox reads. Where a Firefox has
 * policies of its own, a file of ours below /etc would switch those off: then each Firefox gets a
 * store for the policies in its own directory.
 */
export async function findFirefoxPolicies(
  machine: Machine,
  directory = policiesDirectory,
  places: readonly string[] = firefoxPlaces,
): Promise<TrustStore[]> {
  /** Lets no other rootling change the policies of this machine at the same time. */
  const alone = (store: TrustStore): TrustStore => ({
    ...store,
    install: (anchor) => machine.alone(lockedDirectory, () => store.install(anchor)),
    uninstall: (anchor) => machine.alone(lockedDirectory, () => store.uninstall(anchor)),
  })
  const firefoxes = await findFirefoxes(machine, places)
  const withPolicies: string[] = []
  for (const each of firefoxes.directories)
    if (await exists(path.join(each, ownPolicies))) withPolicies.push(each)
  const usesOwn = withPolicies.length > 0 && !(await isOfAdministrator(directory))

  const own = firefoxes.directories.map((each) => createOwnStore(machine, each))
  const shared = createPoliciesStore(machine, directory, {
    as: 'root',
    availability: () => availabilityOfShared(directory, firefoxes, usesOwn ? withPolicies : []),
  })
  if (!usesOwn) {
    // What was put into a Firefox's own policies before is taken out with the rest.
    const left: TrustStore[] = []
    for (const each of own) if ((await each.list()).length > 0) left.push(each)
    const all = [shared, ...left]
    const list: TrustStore['list'] = async () =>
      distinctAnchors((await Promise.all(all.map((each) => each.list()))).flat())
    const uninstall: TrustStore['uninstall'] = async (anchor) => {
      for (const each of all) await each.uninstall(anchor)
    }
    return [alone({ ...shared, list, uninstall })]
  }
  /**
   * Moves the roots in a file of ours below /etc, from before a Firefox had policies of its own,
   * into the directory of each Firefox: the file switches those policies off.
   */
  async function moveShared(): Promise<void> {
    const anchors = await shared.list()
    for (const each of own)
      if ((await each.availability()).available)
        for (const anchor of anchors) await each.install(anchor)
    for (const anchor of anchors) await shared.uninstall(anchor)
  }
  const switchedOff = () => isTaken(path.join(directory, 'policies.json'))
  const read = own.map((store): TrustStore => ({
    ...store,
    has: async (anchor) => !(await switchedOff()) && store.has(anchor),
    async install(anchor) {
      await store.install(anchor)
      await moveShared()
    },
  }))
  return [shared, ...read].map(alone)
}

/** Whether the directory below /etc has a policies file that holds more than our roots. */
async function isOfAdministrator(directory: string): Promise<boolean> {
  try {
    const text = await readPolicies(path.join(directory, 'policies.json'))
    return text !== null && !isOurs(text)
  } catch {
    return true
  }
}

async function availabilityOfShared(
  directory: string,
  { found }: Firefoxes,
  withPolicies: readonly string[],
): Promise<Available | Unavailable> {
  const holdsOurs = (await anchorFiles(directory)).length > 0
  if (holdsOurs || (await isTaken(path.join(directory, 'policies.json'))))
    return { available: true }
  if (!found) return { available: false, code: 'absent', reason: 'Firefox is not on this machine.' }
  const [first] = withPolicies
  if (first === undefined) return { available: true }
  const reason = `A file there would switch off the policies of the Firefox in ${first}.`
  return { available: false, code: 'absent', reason }
}

/** Returns the store for the policies in the directory of one Firefox. */
function createOwnStore(machine: Machine, firefox: string): TrustStore {
  const directory = path.join(firefox, path.dirname(ownPolicies))
  const isPersons = async (): Promise<boolean> => {
    const owner = (await stat(firefox).catch(() => null))?.uid ?? 0
    return owner !== 0 && owner === machine.person.uid
  }
  return createPoliciesStore(machine, directory, {
    as: async () => ((await isPersons()) ? 'person' : 'root'),
    async availability() {
      if (isReadOnly(firefox)) {
        const reason = `The Firefox in ${firefox} is on a read-only file system.`
        return { available: false, code: 'absent', reason }
      }
      if ((await isPersons()) || (await isTrustedProgram(firefox))) return { available: true }
      return unsupported(
        `${firefox} can be changed by other users, so root does not write there.`,
        `Have its owner add the root to ${path.join(firefox, ownPolicies)}`,
      )
    },
  })
}

interface PoliciesOptions {
  readonly as: Actor | (() => Promise<Actor>)
  readonly availability: TrustStore['availability']
}

/** Returns a store that keeps roots in a directory's policies.json, and their files beside it. */
function createPoliciesStore(
  machine: Machine,
  directory: string,
  { as, availability }: PoliciesOptions,
): TrustStore {
  const policies = path.join(directory, 'policies.json')
  const fileOf = (anchor: TrustAnchor) => path.join(directory, `${anchor.name}.crt`)
  const actor = async () => (typeof as === 'string' ? as : as())

  return {
    id: `firefox-policies:${directory}`,
    kind: 'nss',
    title: `Firefox policies (${directory})`,
    availability,

    async list() {
      const anchors: TrustAnchor[] = []
      for (const file of await anchorFiles(directory)) {
        const text = (await readLatin1(file)) ?? ''
        anchors.push(...certificatesIn(text).map(createAnchor))
      }
      return distinctAnchors(anchors)
    },

    async has(anchor) {
      // Firefox ignores a file that it cannot read.
      const text = await readPolicies(policies).catch(() => null)
      for (const file of installedFiles(text)) {
        if (!isFullPath(file)) continue
        const pem = (await readLatin1(file)) ?? ''
        if (holdsCertificate(pem, anchor.der)) return true
      }
      return false
    },

    async install(anchor) {
      const by = await actor()
      const text = await readPolicies(policies)
      const merged = addCertificate(text, fileOf(anchor), policies)
      if (await isTaken(policies)) await findReplaceable(policies, by)
      const wasThere = await isTaken(fileOf(anchor))
      await machine.writeFile(fileOf(anchor), anchor.pem, by)
      if (merged === text) return
      try {
        if (text === null) await machine.writeFile(policies, merged, by)
        else await machine.replaceFile(policies, merged, by)
      } catch (error) {
        if (!wasThere) await machine.removeFile(fileOf(anchor), by)
        throw error
      }
    },

    async uninstall(anchor) {
      const by = await actor()
      const text = await readPolicies(policies)
      const rest = text === null ? null : removeAnchor(text, anchor, policies)
      if (rest !== text) await findReplaceable(policies, by)
      if (rest === null) await machine.removeFile(policies, by)
      else if (rest !== text) await machine.replaceFile(policies, rest, by)
      if (rest === text && !(await exists(fileOf(anchor)))) return
      await machine.removeFile(fileOf(anchor), by)
      await machine.removeEmptyDirectory(directory, by)
      // Only /etc/firefox is removed with the directory: that of a Firefox holds its program.
      if (as === 'root') await machine.removeEmptyDirectory(path.dirname(directory), by)
    },
  }
}

/**
 * Returns the text without the files of this anchor, in whatever directory they are; `null`: the
 * text held nothing else.
 */
function removeAnchor(text: string, { name }: TrustAnchor, policies: string): string | null {
  if (!text.includes(name)) return text
  let rest: string | null = text
  for (const file of filesToInstall(text, policies))
    if (path.basename(file) === `${name}.crt` && rest !== null)
      rest = removeCertificate(rest, file, policies)
  return rest
}

/** Returns the files of roots that Rootling put into a directory. */
async function anchorFiles(directory: string): Promise<string[]> {
  const names = await namesIn(directory)
  const ours = names.filter((name) => name.startsWith(anchorPrefix) && name.endsWith('.crt'))
  return ours.map((name) => path.join(directory, name))
}

/** Returns the text of a policies file; `null`: there is none. Throws `store-failed`. */
async function readPolicies(file: string): Promise<string | null> {
  const bytes = bytesOf(file)
  if (bytes === null) return null
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch (error) {
    throw refuse(file, 'is not UTF-8, so it was left as it is', error)
  }
}

/** Returns the octets of a policies file; `null`: there is none. Throws `store-failed`. */
function bytesOf(file: string): Buffer | null {
  let size: number | null
  try {
    const found = statSync(file, { throwIfNoEntry: false })
    if (found === undefined) return null
    size = found.isFile() ? found.size : null
  } catch (error) {
    throw refuse(file, 'cannot be read', error)
  }
  if (size === null || size > sizeLimit) throw refuse(file, 'is not a regular file of at most 1 MB')
  try {
    return readFileSync(file)
  } catch (error) {
    throw refuse(file, 'cannot be read, so Firefox cannot read it either', error)
  }
}
