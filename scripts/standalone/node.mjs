// The Node that the single executable holds, from npm's packages of it.
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { root } from '../prepare.mjs'

/** The long-term release that the executable holds; it needs no more of a system than glibc 2.28. */
export const nodeVersion = '24.22.3'

/** The SHA-512 of npm's packages of this version, as the registry's `integrity` says it. */
const integrity = {
  'linux-x64':
    'sha512-KHsob+Fv9YerATvYujMbiyJqnRCvLtrcr/eTNqRqiOSGp97EOiRP1yP47+knGgQ/xnc3XY8xzkW587dlZzNqRA==',
  'linux-arm64':
    'sha512-IZx0J52/1NDwAsY2iyWR9nlPIYuYviTWetjj8+ElvYQh2+XRhLfCfkbFEF/2O5vGI2hcUbyPNHV+nz342FbJXw==',
}

/** The system and processor of this process, as a target is named. */
export const ownTarget = `${process.platform}-${process.arch}`

/**
 * Returns the program `node` of a target, and the file with its licences. It is fetched from npm and
 * kept in `node_modules/.cache`. For systems without a package of this version, it is the Node that
 * runs this. Throws where that is of another version.
 */
export function nodeOf(target) {
  if (target in integrity) return fetched(target)
  if (target !== ownTarget || process.versions.node !== nodeVersion)
    throw new Error(`Build for ${target} on such a system, with Node ${nodeVersion}.`)
  const licence = ['LICENSE', '../LICENSE', '../share/doc/node/LICENSE'].map((path) =>
    join(process.execPath, '..', path),
  )
  return { program: process.execPath, licence: licence.find((path) => existsSync(path)) }
}

function fetched(target) {
  const cache = join(root, 'node_modules/.cache/rootling-standalone')
  const kept = join(cache, `${target}-${nodeVersion}`)
  if (!existsSync(kept)) {
    const work = `${kept}.${process.pid}`
    mkdirSync(work, { recursive: true })
    const name = `node-${target}`
    execFileSync('npm', ['pack', '--silent', `${name}@${nodeVersion}`], { cwd: work })
    const tarball = join(work, `${name}-${nodeVersion}.tgz`)
    const digest = createHash('sha512').update(readFileSync(tarball)).digest('base64')
    if (`sha512-${digest}` !== integrity[target])
      throw new Error(`npm's ${name} ${nodeVersion} is not the one that this project knows.`)
    execFileSync('tar', ['-xzf', tarball, 'package/bin/node', 'package/LICENSE'], { cwd: work })
    rmSync(tarball)
    if (!existsSync(kept)) renameSync(work, kept)
    else rmSync(work, { recursive: true, force: true })
  }
  return { program: join(kept, 'package/bin/node'), licence: join(kept, 'package/LICENSE') }
}
