/**
 * What connections to upstreams read into, all of them the same memory: libuv asks for it, reads and
 * calls back before it turns to another connection, on Windows too. Memory of its own for each read
 * would keep the garbage collector busy, and idle connections would hold it.
 */
export const readBuffer = (): Buffer => (shared ??= Buffer.allocUnsafeSlow(readBytes))
let shared: Buffer | undefined

const readBytes = 128 * 1024

/** Smaller parts are copied into memory that the garbage collector frees, since a slab is as large as a read. */
const smallBytes = 64 * 1024

/** How much memory waits for the next parts. */
const mostFree = 16

const free: Buffer[] = []

/**
 * Copies a part of a body, for a stream that writes it later. Call `release` when it was written; after
 * an error its memory is not used again, since what failed may still read it.
 */
export function copyPart(part: Buffer): Copy {
  const { length } = part
  if (length < smallBytes || length > readBytes) return { copy: Buffer.from(part), release: null }
  const slab = free.pop() ?? Buffer.allocUnsafeSlow(readBytes)
  part.copy(slab, 0, 0, length)
  const release = (error?: Error | null): void => {
    if (!error && free.length < mostFree) free.push(slab)
  }
  return { copy: slab.subarray(0, length), release }
}

export interface Copy {
  readonly copy: Buffer
  readonly release: ((error?: Error | null) => void) | null
}
