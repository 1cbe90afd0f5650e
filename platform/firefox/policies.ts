import { readdir, readFile, realpath, stat } from 'node:fs/promises'
import path from 'node:path'
import { RootlingError } from '../../src/errors.ts'
import { exists } from '../file-status.ts'
import type { Machine } from '../machine.ts'
import { findFirefox } from '../nss/browsers.ts'
import { certificatesIn, createAnchor, distinctAnchors, holdsCertificate } from '../pem.ts'
import { anchorPrefix, type TrustAnchor, type TrustStore } from '../trust-store.ts'

/** Where Firefox on Linux reads its policies, and nowhere else below /etc. */
const policiesDirectory = '/etc/firefox/policies'

/** Bytes. A policies file is a page or two; a larger file is something else. */
const sizeLimit = 1_000_000

type Json = Record<string, unknown>

/**
 * Trust through Firefox's policies: it reaches every profile, also those made later. Firefox copies
 * the root into the database of each profile that it opens; the stores of those databases remove it
 * there, by its DER.
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

    async install(anchor) {
      const { file, text } = await readPolicies(machine, directory)
      const merged = addCertificate(text, fileOf(anchor), file)
      await machine.writeFile(fileOf(anchor), anchor.pem, 'root')
      if (merged !== text) await machine.writeFile(file, merged, 'root')
    },

    async uninstall(anchor) {
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
    },
  }
  return store
}

/**
 * The policies that Firefox reads: the file in /etc, else one that the distribution ships beside
 * the program. A new file in /etc would switch that one off, so the root is added to it instead.
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
 * A policies file with one more certificate to install; everything else stays, in its order. Throws
 * `store-failed` for anything but a policies file.
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
 * A policies file without that certificate; `null` when nothing else was in it. Throws
 * `store-failed` for anything but a policies file.
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

/** The certificate files that a policies file names; Firefox ignores a broken file as a whole. */
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

/** JSON in the indentation of the text that it replaces. */
function print(root: Json, before: string | null, file: string): string {
  if (before === null) return `${JSON.stringify(root, null, 2)}\n`
  const indent =
    /^\s*\{\r?\n([ \t]+)"/.exec(withoutByteOrderMark(before))?.[1] ??
    (before.includes('\n') ? 2 : 0)
  const end = /\r?\n$/.exec(before)?.[0] ?? ''
  try {
    return JSON.stringify(root, null, indent) + end
  } catch (error) {
    // JSON.parse reads at any depth; JSON.stringify overflows the stack.
    throw refuse(file, 'is nested too deep, so it was left as it is', error)
  }
}

/** Some editors write a byte order mark, which JSON does not allow. */
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
