import { closeSync, constants, openSync, writeSync } from 'node:fs'

/**
 * What the single executable of Rootling holds beside its code (`scripts/standalone/build.mjs`), by
 * name. `null`: this process is another program, or its executable has no such file. The octets lie
 * in the program itself, so nobody may write to them.
 */
function packedFile(name: string): Uint8Array | null {
  const { getBuiltinModule } = process as { getBuiltinModule?: (id: string) => unknown }
  const sea = getBuiltinModule?.('node:sea') as Sea | undefined
  if (sea?.isSea() !== true) return null
  try {
    return new Uint8Array(sea.getRawAsset(name))
  } catch {
    return null
  }
}

/** What is called here of Node's module for such executables; Node 20.12 and later have all of it. */
interface Sea {
  isSea(): boolean
  getRawAsset(name: string): ArrayBuffer
}

/**
 * Whether this process runs the single executable, so that its program alone starts it, without a
 * script. A program of somebody else that holds the library is none.
 */
export const isStandalone = (): boolean => packedFile('rootling.cjs') !== null

/**
 * Where the file of `loadPacked` may be. Some of them forbid that programs are loaded from there.
 * The first is in memory.
 */
const directories = ['/dev/shm', '/tmp', '/var/tmp']

/** `O_TMPFILE` of open(2) on x64 and arm64, without the flag for directories that belongs to it. */
const unnamed = 0o20000000

/**
 * Loads a native add-on that the executable holds; `null`: it cannot be loaded here. The kernel loads
 * code from files only. The file for it has no name, so no other user can write to it or put
 * something else in its place, and nothing of it stays. Only Linux has such files.
 */
export function loadPacked(name: string): unknown {
  const octets = process.platform === 'linux' ? packedFile(name) : null
  if (octets === null) return null
  for (const directory of directories) {
    const loaded = loadFrom(directory, octets)
    if (loaded !== null) return loaded
  }
  return null
}

function loadFrom(directory: string, octets: Uint8Array): unknown {
  try {
    const flags = unnamed | constants.O_DIRECTORY | constants.O_RDWR
    const file = openSync(directory, flags, 0o600)
    try {
      for (let written = 0; written < octets.length;)
        written += writeSync(file, octets, written, octets.length - written)
      const loaded = { exports: {} }
      process.dlopen(loaded, `/proc/self/fd/${file}`)
      return loaded.exports
    } finally {
      closeSync(file)
    }
  } catch {
    // The directory is absent, read-only, full, or for data alone (noexec).
    return null
  }
}
