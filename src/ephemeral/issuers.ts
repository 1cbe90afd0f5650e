import { createHash, createPrivateKey } from 'node:crypto'
import { signWith, type Signer } from '../x509/certificate.ts'
import type { RevokedCertificate } from '../x509/crl.ts'
import { generateKeys, keyIdentifier, type KeyPairDer, type KeyType } from '../x509/keys.ts'
import type { NameConstraints } from '../x509/name-constraints.ts'
import { encodePem } from '../x509/pem.ts'
import {
  authorityName,
  authorityValidity,
  signIntermediate,
  signRoot,
  type Validity,
} from '../x509/profiles.ts'

/** What an intermediate below the root issues for. */
export type LeafUse = 'servers' | 'clients'

/** A root or an intermediate, with what signs with its key. */
export interface Issuer {
  readonly signer: Signer
  /** The certificate. */
  readonly pem: string
  /** SubjectPublicKeyInfo, DER. */
  readonly spki: Buffer
  /** What the issuer's CRL lists. */
  readonly revoked: RevokedCertificate[]
}

/** A root and its intermediates. */
export interface Hierarchy {
  readonly root: Issuer
  readonly validity: Validity
  /** Returns the intermediate for a use, which is made when it is first asked for. */
  issuer(use: LeafUse): Promise<Issuer>
  /** The issuers that exist, the root last. */
  issuers(): Promise<readonly Issuer[]>
}

export interface HierarchyOptions {
  /** `null`: may sign any name. */
  readonly constraints: NameConstraints | null
  readonly keyType: KeyType
  readonly now: Date
}

/** Part of the subjects, by which a person knows the certificates in a list. */
const authority = 'ephemeral'

/**
 * Makes a root and its first intermediate, which issues for servers. The keys are in memory alone.
 * As in authorities on disk, an intermediate permits one purpose (RFC 5280 §4.2.1.12), so there is
 * one for each use; here both are below one root, which a test then passes to either side as `ca`.
 */
export async function makeHierarchy({
  constraints,
  keyType,
  now,
}: HierarchyOptions): Promise<Hierarchy> {
  const validity = authorityValidity(now)
  const rootKeys = await generateKeys(keyType)
  const rootFields = fieldsOf('root', 'servers', rootKeys)
  const signer = signerOf(rootKeys, rootFields.name)
  const root = issuerOf(signer, await signRoot(rootFields, signer), rootKeys)
  const made = new Map<LeafUse, Promise<Issuer>>()

  function fieldsOf(role: 'root' | 'issuing', use: LeafUse, { spki }: KeyPairDer) {
    const hash = createHash('sha256').update(spki).digest('hex')
    return { name: authorityName(role, use, hash, authority), use, spki, constraints, ...validity }
  }

  async function makeIssuer(use: LeafUse): Promise<Issuer> {
    const keys = await generateKeys(keyType)
    const fields = fieldsOf('issuing', use, keys)
    return issuerOf(signerOf(keys, fields.name), await signIntermediate(fields, signer), keys)
  }

  function issuer(use: LeafUse): Promise<Issuer> {
    const found = made.get(use) ?? makeIssuer(use)
    made.set(use, found)
    return found
  }

  await issuer('servers')
  return {
    root,
    validity,
    issuer,
    issuers: async () => [...(await Promise.all(made.values())), root],
  }
}

const issuerOf = (signer: Signer, der: Buffer, { spki }: KeyPairDer): Issuer => ({
  signer,
  pem: encodePem('CERTIFICATE', der),
  spki,
  revoked: [],
})

function signerOf(keys: KeyPairDer, name: Buffer): Signer {
  return { name, keyIdentifier: keyIdentifier(keys.spki), ...signingOf(keys) }
}

/** Returns what signs with a new key. */
export function signingOf({ pkcs8 }: KeyPairDer): Pick<Signer, 'algorithm' | 'sign'> {
  const signing = signWith(createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' }))
  if (signing === null) throw new TypeError('every KeyType has a signature algorithm')
  return signing
}
