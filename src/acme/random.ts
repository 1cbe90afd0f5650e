import { randomFillSync } from 'node:crypto'

const pool = Buffer.alloc(4096)
let used = pool.length

/**
 * Returns up to 64 random octets for a name or a nonce. They come from a pool, since to ask OpenSSL
 * costs the same for 16 octets as for thousands; what was handed out is wiped there. Throws a RangeError
 * for more.
 */
export function randomOctets(length: number): Buffer {
  // From beyond the end of the pool would come fewer octets than were asked for.
  if (!Number.isInteger(length) || length < 1 || length > 64)
    throw new RangeError(`${length} random octets were asked for; 1 to 64 can be had.`)
  if (used + length > pool.length) {
    randomFillSync(pool)
    used = 0
  }
  const octets = Buffer.from(pool.subarray(used, used + length))
  pool.fill(0, used, used + length)
  used += length
  return octets
}
