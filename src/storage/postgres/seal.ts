import { createCipheriv, createDecipheriv, randomBytes, scryptSync } from 'node:crypto'
import { RootlingError } from '../../errors.ts'

/** Encrypts what the database must not give away, such as keys: a dump of it signs nothing. */
export interface Sealer {
  /** `context` says what is sealed, such as the name of a scope: it opens in no other place. */
  seal(contents: Buffer, context: string): Buffer
  /** Throws `bad-key` for what another passphrase sealed, or in another context. */
  open(sealed: Buffer, context: string): Buffer
}

/** In octets: of a salt, of a nonce and of a tag of AES-GCM. */
const [saltLength, nonceLength, tagLength] = [16, 12, 16]

/** The cost of scrypt (RFC 7914): 2^17 rounds take 128 MiB and about half a second. */
const cost = { N: 2 ** 17, r: 8, p: 1, maxmem: 256 * 1024 * 1024 }

/**
 * Returns a sealer whose key comes from a passphrase by scrypt, once for each salt, and which seals with
 * AES-256-GCM.
 */
export function sealWith(passphrase: string): Sealer {
  const keys = new Map<string, Buffer>()
  const own = randomBytes(saltLength)
  const keyOf = (salt: Buffer): Buffer => {
    const name = salt.toString('hex')
    const key = keys.get(name) ?? scryptSync(passphrase, salt, 32, cost)
    keys.set(name, key)
    return key
  }
  return {
    seal(contents, context) {
      const nonce = randomBytes(nonceLength)
      const cipher = createCipheriv('aes-256-gcm', keyOf(own), nonce)
      cipher.setAAD(Buffer.from(context))
      const sealed = [cipher.update(contents), cipher.final()]
      return Buffer.concat([own, nonce, cipher.getAuthTag(), ...sealed])
    },
    open(sealed, context) {
      try {
        const [salt, nonce, tag, contents] = parts(sealed)
        const decipher = createDecipheriv('aes-256-gcm', keyOf(salt), nonce)
        decipher.setAAD(Buffer.from(context))
        decipher.setAuthTag(tag)
        return Buffer.concat([decipher.update(contents), decipher.final()])
      } catch (error) {
        throw new RootlingError('bad-key', `The passphrase does not open ${context}.`, {
          hint: 'Give the file of the passphrase with which the authority was made',
          cause: error,
        })
      }
    },
  }
}

function parts(sealed: Buffer): [Buffer, Buffer, Buffer, Buffer] {
  const [a, b, c] = [saltLength, saltLength + nonceLength, saltLength + nonceLength + tagLength]
  if (sealed.length < c) throw new RangeError('too short')
  return [sealed.subarray(0, a), sealed.subarray(a, b), sealed.subarray(b, c), sealed.subarray(c)]
}
