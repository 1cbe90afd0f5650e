// What the refreshing tools of the Linux families do in common, below the simulated machine.
import { mkdirSync, readdirSync, renameSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { certificatesOf, machine } from './support.mjs'

export const at = (file) => path.join(machine, file)

/** The certificates of every file in the directories that are there, each once. */
export function collect(directories, extension = '') {
  const found = new Map()
  for (const directory of directories) {
    for (const name of names(directory)) {
      if (!name.endsWith(extension)) continue
      for (const certificate of certificatesOf(path.join(at(directory), name)))
        found.set(certificate.fingerprint256, certificate)
    }
  }
  return [...found.values()]
}

export function names(directory) {
  try {
    return readdirSync(at(directory)).toSorted()
  } catch {
    return []
  }
}

export function writeBundle(file, certificates) {
  mkdirSync(path.dirname(at(file)), { recursive: true })
  writeFileSync(`${at(file)}.tmp`, certificates.map(String).join(''))
  renameSync(`${at(file)}.tmp`, at(file))
}
