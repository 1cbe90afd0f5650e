// Makes the text of dist/THIRD-PARTY.txt: the full licence of every package whose code is in the
// bundles.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, sep } from 'node:path'

/**
 * Returns the directories of the packages that these modules (absolute paths) belong to, each once.
 */
function packagesOf(modules) {
  const below = modules.filter((id) => id.includes(`${sep}node_modules${sep}`))
  return [...new Set(below.map(packageOf))].toSorted((a, b) => a.localeCompare(b))
}

function packageOf(module) {
  for (let directory = dirname(module); ; directory = dirname(directory)) {
    const file = join(directory, 'package.json')
    // Some packages have further package.json files without a name, which only set the module type.
    if (existsSync(file) && JSON.parse(readFileSync(file, 'utf8')).name !== undefined)
      return directory
    if (directory === dirname(directory)) throw new Error(`${module} belongs to no package`)
  }
}

/**
 * Returns the text of the notice. Throws when a package has no licence, or nothing with its text.
 */
export function thirdPartyNotice(modules) {
  const notices = packagesOf(modules).map(noticeOf)
  const line = `\n${'-'.repeat(78)}\n\n`
  return ['The commands of Rootling hold code of these packages.\n', ...notices].join(line)
}

/** Returns the licence of the package in a directory, under its name. */
export function noticeOf(directory) {
  const { name, version, license } = JSON.parse(
    readFileSync(join(directory, 'package.json'), 'utf8'),
  )
  const text = licenceText(directory)
  if (license === undefined || text === undefined)
    throw new Error(`${name} has no licence, or nothing that holds it`)
  return `${name} ${version} (${license})\n\n${text}\n`
}

/** Returns the text of a file for it, or of that section of the README. */
function licenceText(directory) {
  const entries = readdirSync(directory)
  const read = (pattern) => {
    const file = entries.find((entry) => pattern.test(entry))
    return file && readFileSync(join(directory, file), 'utf8').replaceAll('\r\n', '\n').trim()
  }
  return (
    read(/^licen[cs]e/i) ?? /^## licen[cs]e\n+([^#]*Permission[^#]*)$/im.exec(read(/^readme/i))?.[1]
  )
}
