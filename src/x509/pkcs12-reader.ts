import { createDecipheriv, createHmac, pbkdf2Sync, timingSafeEqual } from 'node:crypto'
import { RootlingError, WrongPassword } from '../errors.ts'
import {
  expectExplicit,
  expectInteger,
  expectOctets,
  expectOid,
  expectSequence,
  isContext,
  isUniversal,
  readDer,
  unexpected,
  type DerValue,
} from './asn1-reader.ts'
import { deriveKey } from './pkcs12.ts'
import { mostIterations as mostPbkdf2Iterations, refuseCostlyPkcs12 } from './pkcs12-cost.ts'

/** What a PKCS #12 file holds. The keys are secret: whoever reads them overwrites them. */
export interface Pkcs12Contents {
  /** Certificates, DER, in the order of the file. */
  readonly certificates: readonly Buffer[]
  /** PKCS #8, DER. */
  readonly keys: readonly Buffer[]
}

const what = 'The PKCS #12 file'
/** The most iterations of the derivation of RFC 7292, which runs in JavaScript: four seconds. */
const mostIterations = 1_000_000n
/** The most bags, in octets of which nothing is known before they are decrypted. */
const mostBags = 10_000

const oids = {
  data: '1.2.840.113549.1.7.1',
  encryptedData: '1.2.840.113549.1.7.6',
  keyBag: '1.2.840.113549.1.12.10.1.1',
  shroudedKeyBag: '1.2.840.113549.1.12.10.1.2',
  certBag: '1.2.840.113549.1.12.10.1.3',
  x509Certificate: '1.2.840.113549.1.9.22.1',
  tripleDes: '1.2.840.113549.1.12.1.3',
  pbes2: '1.2.840.113549.1.5.13',
  pbkdf2: '1.2.840.113549.1.5.12',
} as const
const digests: Readonly<Record<string, 'sha1' | 'sha256' | 'sha384' | 'sha512'>> = {
  '1.3.14.3.2.26': 'sha1',
  '2.16.840.1.101.3.4.2.1': 'sha256',
  '2.16.840.1.101.3.4.2.2': 'sha384',
  '2.16.840.1.101.3.4.2.3': 'sha512',
  // The HMACs that PBKDF2 uses (RFC 8018 §B.1.2).
  '1.2.840.113549.2.7': 'sha1',
  '1.2.840.113549.2.9': 'sha256',
  '1.2.840.113549.2.10': 'sha384',
  '1.2.840.113549.2.11': 'sha512',
}
const ciphers: Readonly<Record<string, readonly [name: string, keyBytes: number]>> = {
  '2.16.840.1.101.3.4.1.2': ['aes-128-cbc', 16],
  '2.16.840.1.101.3.4.1.22': ['aes-192-cbc', 24],
  '2.16.840.1.101.3.4.1.42': ['aes-256-cbc', 32],
}

/**
 * Opens a PKCS #12 file (RFC 7292), DER, that is protected as Rootling and OpenSSL 3 protect it: by
 * PBES2 with AES or, in the old form, by triple DES. `shown` names the file in sentences. Throws
 * `bad-der`, `bad-key` for another protection or absurdly many iterations, and WrongPassword.
 */
export function readPkcs12(contents: Buffer, password: string, shown: string): Pkcs12Contents {
  refuseCostlyPkcs12(contents, shown)
  const [, authSafe, mac] = expectSequence(readDer(contents, what), what)
  const safes = dataOf(authSafe)
  // Without a MAC nothing says whether the password is right before something is decrypted.
  if (mac !== undefined) checkMac(safes, mac, password, shown)
  const found = { certificates: [] as Buffer[], keys: [] as Buffer[] }
  for (const info of expectSequence(readDer(safes, what), what)) {
    const plain = contentsOf(info, password, shown)
    const bags = expectSequence(readDer(plain, what), what)
    if (bags.length > mostBags) throw unusual(shown, `${bags.length} entries`)
    for (const bag of bags) readBag(bag, password, shown, found)
  }
  return found
}

/** Returns the octets of a ContentInfo of the type `data`. */
function dataOf(info: DerValue | undefined): Buffer {
  const [type, content] = expectSequence(info, what)
  if (expectOid(type, what) !== oids.data) throw unexpected(what, 'plain data')
  return expectOctets(expectExplicit(content, 0, what), what)
}

function contentsOf(info: DerValue, password: string, shown: string): Buffer {
  const [type, content] = expectSequence(info, what)
  if (expectOid(type, what) !== oids.encryptedData) return dataOf(info)
  const [, encrypted] = expectSequence(expectExplicit(content, 0, what), what)
  const [, algorithm, octets] = expectSequence(encrypted, what)
  if (!isContext(octets, 0)) throw unexpected(what, 'encrypted octets')
  return decrypt(algorithm, octets.contents, password, shown)
}

function readBag(
  bag: DerValue,
  password: string,
  shown: string,
  found: { certificates: Buffer[]; keys: Buffer[] },
): void {
  const [type, value] = expectSequence(bag, what)
  const content = expectExplicit(value, 0, what)
  switch (expectOid(type, what)) {
    case oids.certBag: {
      const [kind, octets] = expectSequence(content, what)
      if (expectOid(kind, what) !== oids.x509Certificate) return
      found.certificates.push(expectOctets(expectExplicit(octets, 0, what), what))
      return
    }
    case oids.keyBag:
      found.keys.push(content.der)
      return
    case oids.shroudedKeyBag: {
      const [algorithm, octets] = expectSequence(content, what)
      found.keys.push(decrypt(algorithm, expectOctets(octets, what), password, shown))
      return
    }
    default:
      // CRLs and secrets of other programs are passed over.
      return
  }
}

function checkMac(safes: Buffer, mac: DerValue, password: string, shown: string): void {
  const [info, salt, iterations] = expectSequence(mac, what)
  const [algorithm, expected] = expectSequence(info, what)
  const digest = digestOf(expectSequence(algorithm, what)[0], shown)
  const rounds = iterations === undefined ? 1 : roundsOf(iterations, shown)
  const bytes = { sha1: 20, sha256: 32, sha384: 48, sha512: 64 }[digest]
  const wanted = expectOctets(expected, what)
  const octets = expectOctets(salt, what)
  const key = deriveKey(password, octets, 3, rounds, bytes, digest)
  const found = createHmac(digest, key).update(safes).digest()
  if (wanted.length !== found.length || !timingSafeEqual(wanted, found))
    throw new WrongPassword(shown)
}

function decrypt(
  algorithm: DerValue | undefined,
  encrypted: Buffer,
  password: string,
  shown: string,
): Buffer {
  const [type, parameters] = expectSequence(algorithm, what)
  const oid = expectOid(type, what)
  const [name, key, iv] =
    oid === oids.pbes2
      ? pbes2Key(parameters, password, shown)
      : oid === oids.tripleDes
        ? tripleDesKey(parameters, password, shown)
        : refuseAlgorithm(oid, shown)
  try {
    const cipher = createDecipheriv(name, key, iv)
    return Buffer.concat([cipher.update(encrypted), cipher.final()])
  } catch (cause) {
    throw new WrongPassword(shown, cause)
  }
}

type CipherInput = readonly [name: string, key: Buffer, iv: Buffer]

function tripleDesKey(value: DerValue | undefined, password: string, shown: string): CipherInput {
  const [salt, iterations] = expectSequence(value, what)
  const [octets, rounds] = [expectOctets(salt, what), roundsOf(iterations, shown)]
  const key = deriveKey(password, octets, 1, rounds, 24, 'sha1')
  return ['des-ede3-cbc', key, deriveKey(password, octets, 2, rounds, 8, 'sha1')]
}

function pbes2Key(value: DerValue | undefined, password: string, shown: string): CipherInput {
  const [derivation, scheme] = expectSequence(value, what)
  const [type, parameters] = expectSequence(derivation, what)
  const derivationOid = expectOid(type, what)
  if (derivationOid !== oids.pbkdf2) refuseAlgorithm(derivationOid, shown)
  const [salt, iterations, ...rest] = expectSequence(parameters, what)
  const prf = rest.find((each) => isUniversal(each, 16))
  // RFC 8018 §A.2: without a name it is HMAC-SHA-1.
  const digest = prf === undefined ? 'sha1' : digestOf(prf.children[0], shown)
  const [cipherType, iv] = expectSequence(scheme, what)
  const cipherOid = expectOid(cipherType, what)
  const [name, keyBytes] = ciphers[cipherOid] ?? refuseAlgorithm(cipherOid, shown)
  // These may be inside encrypted octets, where `refuseCostlyPkcs12` does not see them.
  const rounds = roundsOf(iterations, shown, mostPbkdf2Iterations)
  const octets = expectOctets(iv, what)
  if (octets.length !== 16) throw unexpected(what, 'an initialization vector')
  return [name, pbkdf2Sync(password, expectOctets(salt, what), rounds, keyBytes, digest), octets]
}

function roundsOf(value: DerValue | undefined, shown: string, most = mostIterations): number {
  const rounds = expectInteger(value, what)
  if (rounds < 1n || rounds > most) throw unusual(shown, `${rounds} iterations`)
  return Number(rounds)
}

function digestOf(value: DerValue | undefined, shown: string) {
  const oid = expectOid(value, what)
  return digests[oid] ?? refuseAlgorithm(oid, shown)
}

function refuseAlgorithm(oid: string, shown: string): never {
  throw unusual(shown, `the algorithm ${oid.slice(0, 60)}`)
}

const unusual = (shown: string, found: string): RootlingError =>
  new RootlingError('bad-key', `${shown} is protected in an old or unusual way (${found}).`, {
    hint: 'openssl pkcs12 -in FILE -nokeys -info -legacy',
  })
