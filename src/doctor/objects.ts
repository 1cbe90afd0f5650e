import { createHash, createPrivateKey, createPublicKey, type X509Certificate } from 'node:crypto'
import type { Scope } from '../authority/scope.ts'
import { RootlingError } from '../errors.ts'
import { printable } from '../printable.ts'
import { inspectCrl, type CrlFacts } from '../x509/crl-reader.ts'
import { kindOfDer, type DerKind } from '../x509/der-kind.ts'
import { keyFactsOf } from '../x509/inspect.ts'
import { inspectOcspResponse, type OcspFacts } from '../x509/ocsp-reader.ts'
import { encodePem, isEncryptedKey, pemBlocks, type PemBlock } from '../x509/pem.ts'
import { readPkcs12 } from '../x509/pkcs12-reader.ts'
import { readPrivateKey } from '../x509/private-key.ts'
import { inspectRequest, type RequestFacts } from '../x509/request-reader.ts'
import { isSignedWith, type SignedValue } from '../x509/signature.ts'

/** What a file holds beside certificates. Nothing of it is secret. */
export type ShownObject =
  | ({ readonly type: 'request' } & RequestFacts)
  | KeyObjectFacts
  | ({ readonly type: 'crl' } & Omit<CrlFacts, 'signed'> & SignedBy)
  | ({ readonly type: 'ocsp' } & Omit<OcspFacts, 'signed'> & SignedBy)

interface KeyObjectFacts {
  readonly type: 'key'
  readonly encrypted: boolean
  /** `P-256`, `RSA 2048`, `Ed25519`, …; `null`: the key is encrypted, and was not opened. */
  readonly key: string | null
  /** SHA-256 of the SubjectPublicKeyInfo, hex; `null` as above. */
  readonly publicKeyFingerprint: string | null
}

interface SignedBy {
  /** The scope of this machine whose authority signed it; `null`: none did. */
  readonly scope: string | null
}

/** What a file holds: its certificates, DER, in order, and everything else. */
export interface FileContents {
  readonly certificates: readonly Buffer[]
  readonly objects: readonly ShownObject[]
}

/** How the password of a file is found: `open` is called until it does not throw WrongPassword. */
export type WithPassword = <T>(open: (password: string) => T) => Promise<T>

export interface FileReading {
  /** Names the file in sentences. */
  readonly name: string
  readonly scopes: readonly Scope[]
  /** Called for a PKCS #12 file. */
  readonly withPassword: WithPassword
  /** The password of encrypted keys, if one was given; they are not asked for. */
  readonly passphrase: string | undefined
}

const notCertificates = /^(?:X509 )?CRL$|CERTIFICATE REQUEST$|PRIVATE KEY$|^OCSP RESPONSE$/
/** The most keys, requests and lists in one file. */
const mostObjects = 1000

/**
 * Reads the contents of a file, PEM or DER: certificates, requests, private keys, CRLs, OCSP
 * responses and PKCS #12. Throws `bad-certificate` where it holds none of these, `bad-der`, and
 * `bad-key` for a key or a PKCS #12 file that cannot be opened.
 */
export async function readContents(contents: Buffer, reading: FileReading): Promise<FileContents> {
  const { name } = reading
  const blocks = pemBlocks(contents.toString('latin1'))
  if (blocks.length === 0) return readDerContents(contents, reading)
  const certificates = blocks.filter(({ label }) => /^(?:X509 )?CERTIFICATE$/.test(label))
  const others = blocks.filter(({ label }) => notCertificates.test(label))
  if (others.length > mostObjects)
    throw new RootlingError('bad-certificate', `${name} holds ${others.length} keys and lists.`, {
      hint: `Name a file of at most ${mostObjects}`,
    })
  if (certificates.length + others.length === 0) throw nothingIn(name, blocks[0]?.label)
  return {
    certificates: certificates.map(({ der }) => der),
    objects: others.map((block) => readBlock(block, reading)),
  }
}

async function readDerContents(contents: Buffer, reading: FileReading): Promise<FileContents> {
  const { name, withPassword } = reading
  if (contents[0] !== 0x30) throw nothingIn(name)
  const kind = kindOfDer(contents)
  // What is of no known kind is explained as a damaged certificate.
  if (kind === null || kind === 'certificate') return { certificates: [contents], objects: [] }
  if (kind !== 'pkcs12')
    return { certificates: [], objects: [readObject(kind, contents, undefined, reading)] }
  const { certificates, keys } = await withPassword((password) =>
    readPkcs12(contents, password, name),
  )
  const objects = keys.map((der) => {
    const facts = keyFacts(encodePem('PRIVATE KEY', der), true)
    der.fill(0)
    return facts
  })
  return { certificates, objects }
}

const nothingIn = (name: string, label?: string): RootlingError => {
  const instead = label === undefined ? '' : `, but a ${printable(label).slice(0, 40)}`
  return new RootlingError('bad-certificate', `${name} holds no certificate${instead}.`, {
    hint: 'Name a certificate, request, key, CRL, OCSP response or PKCS #12 file',
  })
}

function readBlock(block: PemBlock, reading: FileReading): ShownObject {
  const { label, der } = block
  if (label.endsWith('PRIVATE KEY')) return readKeyBlock(block, reading)
  const kind = label.endsWith('CRL') ? 'crl' : label.endsWith('REQUEST') ? 'request' : 'ocsp'
  return readObject(kind, der, block, reading)
}

function readObject(
  kind: Exclude<DerKind, 'certificate' | 'pkcs12'>,
  der: Buffer,
  block: PemBlock | undefined,
  reading: FileReading,
): ShownObject {
  switch (kind) {
    case 'request':
      return { type: 'request', ...inspectRequest(der) }
    case 'crl': {
      const { signed, ...facts } = inspectCrl(der)
      return { type: 'crl', ...facts, scope: signerOf(signed, reading.scopes) }
    }
    case 'ocsp': {
      const { signed, ...facts } = inspectOcspResponse(der)
      return { type: 'ocsp', ...facts, scope: signerOf(signed, reading.scopes) }
    }
    default:
      return readKeyBlock(block ?? { label: kind, der, text: encodePem(kind, der) }, reading)
  }
}

function readKeyBlock(block: PemBlock, { name, passphrase }: FileReading): KeyObjectFacts {
  const encrypted = isEncryptedKey(block)
  if (!encrypted) return keyFacts(block.text, false, name)
  if (passphrase === undefined)
    return { type: 'key', encrypted, key: null, publicKeyFingerprint: null }
  const { spki, publicKey } = readPrivateKey(block.text, passphrase, `The key in ${name}`)
  return { type: 'key', encrypted, ...publicFacts(spki, keyFactsOf(publicKey).name) }
}

/** Returns the public facts of a private key, PEM. */
function keyFacts(pem: string, encrypted: boolean, name = 'The file'): KeyObjectFacts {
  try {
    const key = createPublicKey(createPrivateKey(pem))
    const spki = key.export({ format: 'der', type: 'spki' })
    return { type: 'key', encrypted, ...publicFacts(spki, keyFactsOf(key).name) }
  } catch {
    // OpenSSL's error is not given as the cause, so that nothing of the key can be in it.
    throw new RootlingError('bad-key', `${name} holds a private key that cannot be read.`, {
      hint: 'openssl pkey -in FILE -noout -text_pub',
    })
  }
}

const publicFacts = (spki: Buffer, key: string) => ({
  key,
  publicKeyFingerprint: createHash('sha256').update(spki).digest('hex'),
})

/** Returns the scope whose issuer or root signed something; `null`: none did. */
function signerOf(signed: SignedValue | null, scopes: readonly Scope[]): string | null {
  const signer = scopes.find(({ intermediate, root }) =>
    [intermediate, root].some((authority) => signed !== null && madeBy(signed, authority)),
  )
  return signer?.name ?? null
}

function madeBy(signed: SignedValue, { publicKey }: X509Certificate): boolean {
  const type = publicKey.asymmetricKeyType ?? ''
  const keyType = type === 'ec' ? 'p' : type
  try {
    return isSignedWith({ publicKey, keyType }, signed, 'It')
  } catch {
    // An algorithm that no scope signs with.
    return false
  }
}
