import { readdir, readFile, realpath, stat } from 'node:fs/promises'
import path from 'node:path'
import { RootlingError } from '../../src/errors.ts'
import { exists } from '../file-status.ts'
import type { Machine } from '../machine.ts'
import { findFirefox } from '../nss/browsers.ts'
import { certificatesIn, createAnchor, distinctAnchors, holdsCertificate } from '../pem.ts'
import { anchorPrefix, type TrustAnchor, type TrustStore } from '../trust-store.ts'

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

type Json = Record<string, unknown>

/**
 * A store that installs roots through Firefox's policies, which apply to every profile, also to
 * those made later. Firefox copies the root into the database of each profile that it opens. The
 * NSS stores of those databases remove the copies, which they find by their DER.
 */
export function createFirefoxPoliciesStore(
  machine: Machine,
  directory = policiesDirectory,
): TrustStore {
  const fileOf = (anchor: TrustAnchor) => path.join(directory, `${anchor.name}.crt`)

  const store: TrustStore = {
    id: `firefox-policies:${directory}`,
    kind: 'nss',
    title: `Firefox policies (${directory})`,

    async availability() {
      const firefox = await findFirefox(machine)
      const own = path.join(directory, 'policies.json')
      if (firefox === null && !(await exists(own))) {
        return { available: false, code: 'absent', reason: 'Firefox is not on this machine.' }
      }
      return { available: true }
    },

    async list() {
      const anchors: TrustAnchor[] = []
      for (const name of await readdir(directory).catch(() => [])) {
        if (!name.startsWith(anchorPrefix) || !name.endsWith('.crt')) continue
        const text = await readFile(path.join(directory, name), 'latin1').catch(() => '')
        anchors.push(...certificatesIn(text).map(createAnchor))
      }
      return distinctAnchors(anchors)
    },

    async has(anchor) {
      const { text } = await readPolicies(machine, directory)
      for (const file of installedFiles(text)) {
        if (!path.isAbsolute(file)) continue
        const pem = await readFile(file, 'latin1').catch(() => '')
        if (holdsCertificate(pem, anchor.der)) return true
      }
      return false
    },

    install: (anchor) => machine.alone(lockedDirectory, () => install(anchor)),
    uninstall: (anchor) => machine.alone(lockedDirectory, () => uninstall(anchor)),
  }
  return store

  async function install(anchor: TrustAnchor): Promise<void> {
    const { file, text } = await readPolicies(machine, directory)
    const merged = addCertificate(text, fileOf(anchor), file)
    await machine.writeFile(fileOf(anchor), anchor.pem, 'root')
    if (merged !== text) await machine.writeFile(file, merged, 'root')
  }

  async function uninstall(anchor: TrustAnchor): Promise<void> {
    const { file, text } = await readPolicies(machine, directory)
    const isOurs = text !== null && text.includes(anchor.name)
    if (isOurs) {
      const rest = removeCertificate(text, fileOf(anchor), file)
      if (rest === null) await machine.removeFile(file, 'root')
      else if (rest !== text) await machine.writeFile(file, rest, 'root')
    }
    if (!isOurs && !(await exists(fileOf(anchor)))) return
    await machine.removeFile(fileOf(anchor), 'root')
    await machine.removeEmptyDirectory(directory, 'root')
    await machine.removeEmptyDirectory(path.dirname(directory), 'root')
  }
}

/**
 * Reads the policies file that Firefox uses: the one in `directory`, else the one that the
 * distribution ships beside the program. A new file in /etc would make Firefox ignore the shipped
 * one, so the root is added to the shipped file. `text` is `null` when there is no such file yet.
 */
async function readPolicies(machine: Machine, directory: string) {
  const own = path.join(directory, 'policies.json')
  if (await exists(own)) return { file: own, text: await readPoliciesFile(own) }
  const firefox = await findFirefox(machine)
  const program = firefox === null ? null : await realpath(firefox).catch(() => null)
  if (program !== null) {
    const shipped = path.join(path.dirname(program), 'distribution/policies.json')
    if (await exists(shipped)) return { file: shipped, text: await readPoliciesFile(shipped) }
  }
  return { file: own, text: null }
}

async function readPoliciesFile(file: string): Promise<string> {
  const found = await stat(file)
  if (!found.isFile() || found.size > sizeLimit) {
    throw refuse(file, 'is not a regular file of at most 1 MB')
  }
  return readFile(file, 'utf8')
}

/**
 * Returns the text of a policies file with one more certificate to install; everything else stays,
 * in its order. Throws `store-failed` when the text is not that of a policies file.
 */
export function addCertificate(text: string | null, certificate: string, file: string): string {
  const root = text === null ? {} : parse(text, file)
  const policies = member(root, 'policies', file)
  const certificates = member(policies, 'Certificates', file)
  const install = (certificates['Install'] ??= [])
  if (!Array.isArray(install)) throw refuse(file, 'has a Certificates.Install that is not a list')
  if (install.includes(certificate) && text !== null) return text
  install.push(certificate)
  return print(root, text, file)
}

/**
 * Returns the text of a policies file without this certificate; `null` when the file held nothing
 * else. Throws `store-failed` when the text is not that of a policies file.
 */
export function removeCertificate(text: string, certificate: string, file: string): string | null {
  const root = parse(text, file)
  const policies = root['policies']
  const certificates = isObject(policies) ? policies['Certificates'] : undefined
  const install = isObject(certificates) ? certificates['Install'] : undefined
  if (!isObject(policies) || !isObject(certificates) || !Array.isArray(install)) return text
  if (!install.includes(certificate)) return text
  const rest = install.filter((each) => each !== certificate)
  if (rest.length > 0) {
    certificates['Install'] = rest
    return print(root, text, file)
  }
  delete certificates['Install']
  if (Object.keys(certificates).length === 0) delete policies['Certificates']
  if (Object.keys(policies).length === 0) delete root['policies']
  return Object.keys(root).length === 0 ? null : print(root, text, file)
}

/**
 * Returns the certificate files that a policies file names. None when the file is broken, because
 * Firefox then ignores it as a whole.
 */
function installedFiles(text: string | null): string[] {
  if (text === null) return []
  let root: unknown
  try {
    root = JSON.parse(withoutByteOrderMark(text))
  } catch {
    return []
  }
  const policies = isObject(root) ? root['policies'] : undefined
  const certificates = isObject(policies) ? policies['Certificates'] : undefined
  const install = isObject(certificates) ? certificates['Install'] : undefined
  return Array.isArray(install) ? install.filter((each) => typeof each === 'string') : []
}

function parse(text: string, file: string): Json {
  let root: unknown
  try {
    root = JSON.parse(withoutByteOrderMark(text))
  } catch (error) {
    throw refuse(file, 'is not JSON, so it was left as it is', error)
  }
  if (!isObject(root)) throw refuse(file, 'does not hold a JSON object')
  return root
}

function member(parent: Json, name: string, file: string): Json {
  const value = (parent[name] ??= {})
  if (!isObject(value)) throw refuse(file, `has a member ${name} that is not an object`)
  return value
}

/** Returns the JSON with the indentation and the line end of the text that it replaces. */
function print(root: Json, before: string | null, file: string): string {
  if (before === null) return `${JSON.stringify(root, null, 2)}\n`
  const indent =
    /^\s*\{\r?\n([ \t]+)"/.exec(withoutByteOrderMark(before))?.[1] ??
    (before.includes('\n') ? 2 : 0)
  const end = /\r?\n$/.exec(before)?.[0] ?? ''
  try {
    return JSON.stringify(root, null, indent) + end
  } catch (error) {
    // JSON.parse reads any depth, but JSON.stringify overflows the stack on deep nesting.
    throw refuse(file, 'is nested too deep, so it was left as it is', error)
  }
}

/** Removes the byte order mark that some editors write and JSON does not allow. */
function withoutByteOrderMark(text: string): string {
  return text.replace(/^\uFEFF/, '')
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function refuse(file: string, why: string, cause?: unknown): RootlingError {
  return new RootlingError('store-failed', `${file} ${why}.`, {
    hint: `Fix ${file} or move it away, then try again`,
    cause,
  })
}
