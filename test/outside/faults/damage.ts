import { createHash, randomBytes } from 'node:crypto'
import {
  chmodSync,
  copyFileSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import type { World } from './world.ts'

/** One accident that can happen to a file; `false`: not to this one, such as an empty one cut. */
export interface Damage {
  readonly title: string
  readonly happen: (path: string, world: World) => boolean
}

function cutTo(share: (size: number) => number): Damage['happen'] {
  return (path) => {
    const { size } = lstatSync(path)
    if (size < 4) return false
    truncateSync(path, share(size))
    return true
  }
}

function flipAt(share: number): Damage['happen'] {
  return (path) => {
    const bytes = readFileSync(path)
    if (bytes.length === 0) return false
    const at = Math.floor(share * bytes.length)
    bytes[at] = (bytes[at] ?? 0) ^ (1 << Math.floor(Math.random() * 8))
    writeFileSync(path, bytes)
    return true
  }
}

const always =
  (happen: (path: string, world: World) => void): Damage['happen'] =>
  (path, world) => {
    happen(path, world)
    return true
  }

export const damages: readonly Damage[] = [
  { title: 'missing', happen: always((path) => rmSync(path)) },
  { title: 'empty', happen: cutTo(() => 0) },
  { title: 'cut after its first octet', happen: cutTo(() => 1) },
  { title: 'cut in the middle', happen: cutTo((size) => Math.floor(size / 2)) },
  { title: 'cut before its last octet', happen: cutTo((size) => size - 1) },
  { title: 'changed in its first octet', happen: flipAt(0) },
  { title: 'changed in one octet', happen: flipAt(Math.random()) },
  { title: 'changed in its middle', happen: flipAt(0.5) },
  { title: 'random octets', happen: always((path) => writeFileSync(path, randomBytes(700))) },
  { title: 'of 100 MB', happen: always((path) => truncateSync(path, 100_000_000)) },
  {
    title: 'a directory',
    happen: always((path) => {
      rmSync(path)
      mkdirSync(path)
    }),
  },
  {
    title: 'a link to elsewhere',
    happen: always((path, { root }) => {
      copyFileSync(path, join(root, 'elsewhere'))
      rmSync(path)
      symlinkSync(join(root, 'elsewhere'), path)
    }),
  },
  { title: 'unreadable', happen: always((path) => chmodSync(path, 0)) },
]

/** What is at a path, or the first `size` octets of it, so that two moments can be compared. */
export function fingerprint(path: string, size?: number): string {
  const info = lstatSync(path, { throwIfNoEntry: false })
  if (info === undefined) return 'missing'
  if (!info.isFile()) return info.isDirectory() ? 'a directory' : 'a link'
  return createHash('sha256').update(readFileSync(path).subarray(0, size)).digest('hex')
}
