// `npm run release -- --executables DIRECTORY --out DIRECTORY`: writes all files of a release, from
// the executables that `npm run build:standalone` wrote on each system.
//   --npm FILE       the tarball of `npm pack`, which then is among the files
//   --revision N     counts packages of the same version; without it, 1
//   --fast           compresses little, for tests
// The same executables in the same commit give the same octets.
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { root } from '../prepare.mjs'
import { nodeVersion } from '../standalone/node.mjs'
import { writeArchive, writeTarGz } from './archives.mjs'
import { writeDeb } from './deb.mjs'
import { description, releaseTime, targets } from './description.mjs'
import { manifests } from './manifests.mjs'
import { writeRpm } from './rpm.mjs'
import { revisionOf } from './versions.mjs'

const { values } = parseArgs({
  options: {
    executables: { type: 'string' },
    out: { type: 'string' },
    npm: { type: 'string' },
    revision: { type: 'string', default: '1' },
    fast: { type: 'boolean', default: false },
  },
})
if (values.executables === undefined || values.out === undefined)
  throw new Error('Name both: npm run release -- --executables DIRECTORY --out DIRECTORY')
const revision = revisionOf(values.revision)
const out = resolve(values.out)
if (existsSync(out) && readdirSync(out).length > 0) throw new Error(`${out} is not empty.`)
mkdirSync(out, { recursive: true })
// What is in the packages has modes that all can read.
process.umask(0o022)

const time = releaseTime()
const work = mkdtempSync(join(tmpdir(), 'rootling-release-'))
try {
  for (const target of Object.keys(targets)) {
    const file = `rootling-${target}${target.startsWith('win32') ? '.exe' : ''}`
    const executable = join(resolve(values.executables), file)
    if (!existsSync(executable)) {
      console.error(`There is no executable for ${target}.`)
      continue
    }
    const given = { target, executable, work, out, revision, time, fast: values.fast }
    writeArchive(given)
    if (!target.startsWith('linux')) continue
    writeDeb(given)
    if (hasProgram('rpmbuild')) writeRpm(given)
    else console.error('There is no rpmbuild, so no .rpm is written.')
  }
} finally {
  rmSync(work, { recursive: true, force: true })
}
const npmName = `${description.name}-${description.version}.tgz`
if (values.npm !== undefined) copyFileSync(values.npm, join(out, npmName))
writeFileSync(join(out, `${description.name}-${description.version}.cdx.json`), billOfMaterials())

const files = readdirSync(out).toSorted()
const sums = Object.fromEntries(files.map((name) => [name, digest('sha256', name)]))
if (values.npm !== undefined) sums[`${npmName}.sha512`] = digest('sha512', npmName)
const texts = Object.entries(manifests(sums, { revision, time }))
for (const [path, text] of texts) {
  mkdirSync(dirname(join(out, path)), { recursive: true })
  writeFileSync(join(out, path), text)
}
const folders = [...new Set(texts.map(([path]) => dirname(path)))].toSorted()
const archive = 'manifests.tar.gz'
writeTarGz({ from: out, names: folders, file: join(out, archive), time, fast: values.fast })
sums[archive] = digest('sha256', archive)
const lines = [archive, ...files]
  .toSorted((a, b) => (a < b ? -1 : 1))
  .map((name) => `${sums[name]}  ${name}\n`)
writeFileSync(join(out, 'SHA256SUMS'), lines.join(''))
console.log(`${files.length} files and the manifests are in ${out}`)

function digest(algorithm, name) {
  return createHash(algorithm)
    .update(readFileSync(join(out, name)))
    .digest('hex')
}

function hasProgram(name) {
  try {
    execFileSync('sh', ['-c', 'command -v "$1"', 'sh', name], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

/**
 * Returns what npm says of the packages in a release, as CycloneDX, with the Node of the executables.
 * npm writes a random serial number and the time of day, which would differ each time.
 */
function billOfMaterials() {
  const args = ['sbom', '--sbom-format', 'cyclonedx', '--omit', 'dev', '--no-workspaces']
  const { serialNumber: _random, ...bom } = JSON.parse(
    execFileSync('npm', args, { cwd: root, encoding: 'utf8', maxBuffer: 2 ** 26 }),
  )
  bom.metadata.timestamp = new Date(time * 1000).toISOString()
  bom.components.push({
    'bom-ref': `node@${nodeVersion}`,
    type: 'platform',
    name: 'node',
    version: nodeVersion,
    description: 'The Node.js that the executables hold',
    purl: `pkg:generic/node@${nodeVersion}`,
    cpe: `cpe:2.3:a:nodejs:node.js:${nodeVersion}:*:*:*:lts:*:*:*`,
  })
  return `${JSON.stringify(bom, null, 2)}\n`
}
