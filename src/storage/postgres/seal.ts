import { createCipheriv, createDecipheriv, randomBytes, scrypt, scryptSync } from 'node:crypto'
import { RootlingError } from '../../errors.ts'
import type { Database } from './database.ts'
import { wrappedName } from './wrapped.ts'

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

/** The salts of what is sealed in a database, the one first with which all else is to be sealed. */
const findSalts = `
SELECT salt FROM (
  SELECT substring(sealed_key FOR ${saltLength}) AS salt, CASE part WHEN '' THEN 0 ELSE 1 END AS rank
  FROM rootling.scope
  UNION ALL SELECT substring(value FOR ${saltLength}), 2 FROM rootling.secret
    WHERE name <> '${wrappedName}'
  UNION ALL SELECT substring(
    decode(translate(left(facts->>'sealed', 24), '-_', '+/'), 'base64') FOR ${saltLength}
  ), 3 FROM rootling.acme WHERE kind = 'eabKey'
) AS found WHERE length(salt) = ${saltLength} GROUP BY salt ORDER BY min(rank), salt`

/**
 * Returns a sealer for a database, which seals with the salt of the issuing key there. The keys of all
 * salts are computed here, one after the other, while the process can do other work: a server does this
 * before it serves. Throws `database-away`.
 */
export async function openSealer(database: Database, passphrase: string): Promise<Sealer> {
  const found = (await database.query(findSalts)).map((row) => row['salt'] as Buffer)
  const salts = found.length === 0 ? [randomBytes(saltLength)] : found
  const keys = new Map<string, Buffer>()
  for (const salt of salts) keys.set(salt.toString('hex'), await derive(passphrase, salt))
  return sealWith(passphrase, { own: salts[0] as Buffer, keys })
}

const derive = (passphrase: string, salt: Buffer): Promise<Buffer> =>
  new Promise((resolve, reject) => {
    scrypt(passphrase, salt, 32, cost, (error, key) =>
      error === null ? resolve(key) : reject(error),
    )
  })

/** The salt for what is sealed, and the keys that were computed, by the hex of their salt. */
interface Salts {
  readonly own: Buffer
  readonly keys: Map<string, Buffer>
}

/**
 * Returns a sealer whose key comes from a passphrase by scrypt, once for each salt, and which seals with
 * AES-256-GCM and random nonces: of one salt that is good for 2^32 sealings (NIST SP 800-38D §8.3), which
 * are 136 a second for a year. A salt that `keys` lacks, as of a process that was started before there
 * was one, is computed while the process waits.
 */
export function sealWith(
  passphrase: string,
  { own, keys }: Salts = { own: randomBytes(saltLength), keys: new Map() },
): Sealer {
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
