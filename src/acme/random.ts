import { randomFillSync } from 'node:crypto'

const pool = Buffer.alloc(4096)
let used = pool.length

/**
 * Returns up to 64 random octets for a name or a nonce. They come from a pool, since to ask OpenSSL costs the same
 * for 16 octets as for thousands; what was handed out is wiped there.
 */
export function randomOctets(length: number): Buffer {
  if (used + length > pool.length) {
    randomFillSync(pool)
    used = 0
  }
  const octets = Buffer.from(pool.subarray(used, used + length))
  pool.fill(0, used, used + length)
  used += length
  return octets
}
