import { createPrivateKey } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { isIP } from 'node:net'
import { join } from 'node:path'
import type { Scope } from '../../../src/authority/scope.ts'
import { scopePath } from '../../../src/storage/files/scopes.ts'
import type { StateDirectory } from '../../../src/home/state-directory.ts'
import { boolean, octetString, sequence } from '../../../src/x509/asn1.ts'
import {
  distinguishedName,
  randomSerialNumber,
  signCertificate,
  type Signer,
} from '../../../src/x509/certificate.ts'
import * as extension from '../../../src/x509/extensions.ts'
import type { Identifier } from '../../../src/x509/identifier.ts'
import { generateKeys, keyIdentifier, signatureAlgorithmOf } from '../../../src/x509/keys.ts'
import type { KeyPairDer } from '../../../src/x509/keys.ts'
import { oids } from '../../../src/x509/oids.ts'
import { encodePem } from '../../../src/x509/pem.ts'
import { emptyName, leafValidity } from '../../../src/x509/profiles.ts'
import type { Presented, Use } from '../interop/kinds.ts'
import { purposeOf, shapes, type Shape } from './shapes.ts'

/** A chain that only a thief of the issuing key would sign, with the key of its leaf, PKCS #8 PEM. */
export interface Forgery extends Presented {
  readonly shape: Shape
  readonly use: Use
  readonly key: string
}

/** A CA that may sign anything, and its root. */
interface Authority {
  readonly signer: Signer
  readonly root: string
  readonly intermediate: string
}

/** What a thief has after reading the state directory: the intermediate's key as the disk holds it. */
export async function stolenSigner(state: StateDirectory, scope: Scope): Promise<Signer> {
  const path = join(scopePath(state, scope.name), 'intermediate-key.pem')
  const key = createPrivateKey(await readFile(path, 'utf8'))
  const algorithm = signatureAlgorithmOf(key)
  if (algorithm === null) throw new Error('the intermediate has an unknown key')
  return { name: scope.issuerName, keyIdentifier: scope.issuerKeyIdentifier, algorithm, key }
}

/** Signs one chain of every shape. */
export async function forge(state: StateDirectory, scope: Scope, now: Date): Promise<Forgery[]> {
  const stolen: Authority = {
    signer: await stolenSigner(state, scope),
    root: scope.root.toString(),
    intermediate: scope.intermediate.toString(),
  }
  const free = await makeFreeAuthority(stolen.signer, now)
  const [pair, sub] = [await generateKeys('p256'), await generateKeys('p256')]
  return [...shapes].map(([title, plain]) => {
    // A subject that is not empty would be refused in a hardened scope, whoever signs it.
    const shape =
      plain.control === 'inside' && scope.copies !== null
        ? { ...plain, subject: emptyName, criticalNames: true }
        : plain
    const { asked, below, use = 'server' } = shape
    const { signer, root, intermediate } = shape.control === 'free' ? free : stolen
    const own = below === 'its own name' ? signer.name : distinguishedName('Thief', 'Thief')
    const issuer = below === undefined ? signer : signerOf(sub, own, signer)
    const ca = below === undefined ? '' : encodePem('CERTIFICATE', caBelow(sub, own, signer, now))
    return {
      title,
      shape,
      use,
      keyType: 'p256',
      root,
      intermediate: ca + intermediate,
      leaf: encodePem('CERTIFICATE', leafOf(shape, pair, issuer, now)),
      key: encodePem('PRIVATE KEY', pair.pkcs8),
      // As in the chains of kinds.ts, a wildcard is not what is asked for.
      identifier: {
        type: typeOf(shape),
        value: /wildcard|star/.test(title) ? `*.${asked}` : asked,
      },
      asked,
    }
  })
}

function typeOf({ family, asked, use }: Shape): Identifier['type'] {
  if (family === 'URIs' || asked.includes('://')) return 'uri'
  if (use === 'mail') return 'email'
  return isIP(asked) > 0 ? 'ip' : 'dns'
}

/** Makes a root and an intermediate that may sign anything. */
async function makeFreeAuthority({ algorithm }: Signer, now: Date): Promise<Authority> {
  const [rootKeys, keys] = [await generateKeys('p256'), await generateKeys('p256')]
  const root = signerOf(rootKeys, distinguishedName('Free', 'Free root'), { algorithm })
  const signer = signerOf(keys, distinguishedName('Free', 'Free issuing'), { algorithm })
  return {
    signer,
    root: encodePem('CERTIFICATE', caBelow(rootKeys, root.name, root, now)),
    intermediate: encodePem('CERTIFICATE', caBelow(keys, signer.name, root, now)),
  }
}

function signerOf(
  keys: KeyPairDer,
  name: Buffer,
  { algorithm }: Pick<Signer, 'algorithm'>,
): Signer {
  const key = createPrivateKey({ key: keys.pkcs8, format: 'der', type: 'pkcs8' })
  return { name, keyIdentifier: keyIdentifier(keys.spki), algorithm, key }
}

function caBelow({ spki }: KeyPairDer, subject: Buffer, signer: Signer, now: Date): Buffer {
  const bit = extension.keyUsageBits
  return signCertificate(
    {
      serialNumber: randomSerialNumber(),
      subject,
      ...leafValidity(now, 90, later(now)),
      spki,
      extensions: [
        extension.basicConstraints(true, null),
        extension.keyUsage([bit.keyCertSign, bit.cRLSign]),
        extension.subjectKeyIdentifier(keyIdentifier(spki)),
        extension.authorityKeyIdentifier(signer.keyIdentifier),
      ],
    },
    signer,
  )
}

function leafOf(shape: Shape, { spki }: KeyPairDer, signer: Signer, now: Date): Buffer {
  const { names = null, moreNames = null, criticalNames = false, use = 'server' } = shape
  const { purposes = [purposeOf[use]], leafIsCa = false } = shape
  const alternatives = [names, moreNames].flatMap((all) =>
    all === null ? [] : [subjectAltName(all, criticalNames)],
  )
  const bit = extension.keyUsageBits
  return signCertificate(
    {
      serialNumber: randomSerialNumber(),
      subject: shape.subject ?? distinguishedName('Bank', null),
      ...leafValidity(now, 90, later(now)),
      spki,
      extensions: [
        extension.basicConstraints(leafIsCa, null),
        extension.keyUsage([bit.digitalSignature, ...(leafIsCa ? [bit.keyCertSign] : [])]),
        ...(purposes === null ? [] : [extKeyUsage(purposes, use === 'time')]),
        extension.subjectKeyIdentifier(keyIdentifier(spki)),
        extension.authorityKeyIdentifier(signer.keyIdentifier),
        ...alternatives,
      ],
    },
    signer,
  )
}

const critical = (yes: boolean): Buffer[] => (yes ? [boolean(true)] : [])

const subjectAltName = (names: readonly Buffer[], isCritical: boolean): Buffer =>
  sequence(oids.subjectAltName, ...critical(isCritical), octetString(sequence(...names)))

/** Time stamping needs a critical one (RFC 3161 §2.3). */
const extKeyUsage = (purposes: readonly Buffer[], isCritical: boolean): Buffer =>
  sequence(oids.extKeyUsage, ...critical(isCritical), octetString(sequence(...purposes)))

const later = (now: Date): Date => new Date(now.getTime() + 1e10)
