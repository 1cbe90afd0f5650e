import { hash } from 'node:crypto'

/**
 * Gives texts numbers from 0 on, in the order in which they come. It keeps 16 octets of the SHA-256
 * of a text and not the text, so that a hundred thousand paths take three megabytes.
 */
export interface Numbering {
  /** How many texts have a number. */
  readonly size: number
  /** `undefined`: the text has no number. */
  get(text: string): number | undefined
  /** Returns the number of a text, which is a new one if it has none. */
  add(text: string): number
}

const wordsOfKey = 4

export function createNumbering(): Numbering {
  let size = 0
  let keys = new Uint32Array(64 * wordsOfKey)
  // Open addressing: a slot holds a number plus 1, or 0 where it is free.
  let slots = new Uint32Array(128)
  const key = new Uint32Array(wordsOfKey)

  /** Returns the slot of a key, or the free one where it belongs. The key is at `at` of `words`. */
  function slotOf(words: Uint32Array, at: number): number {
    const mask = slots.length - 1
    for (let slot = (words[at] ?? 0) & mask; ; slot = (slot + 1) & mask) {
      const other = ((slots[slot] ?? 0) - 1) * wordsOfKey
      if (other < 0) return slot
      if (
        keys[other] === words[at] &&
        keys[other + 1] === words[at + 1] &&
        keys[other + 2] === words[at + 2] &&
        keys[other + 3] === words[at + 3]
      )
        return slot
    }
  }

  function read(text: string): void {
    const digest = hash('sha256', text, 'buffer')
    for (let i = 0; i < wordsOfKey; i++) key[i] = digest.readUInt32LE(4 * i)
  }

  function grow(): void {
    if ((size + 1) * wordsOfKey > keys.length) {
      const more = new Uint32Array(wordsOfKey * Math.ceil(size * 1.25))
      more.set(keys)
      keys = more
    }
    if (4 * (size + 1) <= 3 * slots.length) return
    slots = new Uint32Array(2 * slots.length)
    for (let n = 0; n < size; n++) slots[slotOf(keys, n * wordsOfKey)] = n + 1
  }

  return {
    get size() {
      return size
    },
    get(text) {
      read(text)
      const number = slots[slotOf(key, 0)] ?? 0
      return number === 0 ? undefined : number - 1
    },
    add(text) {
      read(text)
      const found = slots[slotOf(key, 0)] ?? 0
      if (found > 0) return found - 1
      grow()
      slots[slotOf(key, 0)] = size + 1
      keys.set(key, size * wordsOfKey)
      return size++
    },
  }
}
