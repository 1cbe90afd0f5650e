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
  signWith,
  type Signer,
} from '../../../src/x509/certificate.ts'
import * as extension from '../../../src/x509/extensions.ts'
import type { Identifier } from '../../../src/x509/identifier.ts'
import { generateKeys, keyIdentifier } from '../../../src/x509/keys.ts'
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
  const signing = signWith(key)
  if (signing === null) throw new Error('the intermediate has an unknown key')
  return { name: scope.issuerName, keyIdentifier: scope.issuerKeyIdentifier, ...signing }
}

/** Signs one chain of every shape. */
export async function forge(state: StateDirectory, scope: Scope, now: Date): Promise<Forgery[]> {
  const stolen: Authority = {
    signer: await stolenSigner(state, scope),
    root: scope.root.toString(),
    intermediate: scope.intermediate.toString(),
  }
  const free = await makeFreeAuthority(now)
  const [pair, sub] = [await generateKeys('p256'), await generateKeys('p256')]
  const forgeries = [...shapes].map(async ([title, plain]): Promise<Forgery> => {
    // A subject that is not empty would be refused in a hardened scope, whoever signs it.
    const shape =
      plain.control === 'inside' && scope.copies !== null
        ? { ...plain, subject: emptyName, criticalNames: true }
        : plain
    const { asked, below, use = 'server' } = shape
    const { signer, root, intermediate } = shape.control === 'free' ? free : stolen
    const own = below === 'its own name' ? signer.name : distinguishedName('Thief', 'Thief')
    const issuer = below === undefined ? signer : signerOf(sub, own)
    const ca = below === undefined ? '' : await caBelow(sub, own, signer, now)
    return {
      title,
      shape,
      use,
      keyType: 'p256',
      root,
      intermediate: ca + intermediate,
      leaf: await leafOf(shape, pair, issuer, now),
      key: encodePem('PRIVATE KEY', pair.pkcs8),
      // As in the chains of kinds.ts, a wildcard is not what is asked for.
      identifier: {
        type: typeOf(shape),
        value: /wildcard|star/.test(title) ? `*.${asked}` : asked,
      },
      asked,
    }
  })
  return Promise.all(forgeries)
}

function typeOf({ family, asked, use }: Shape): Identifier['type'] {
  if (family === 'URIs' || asked.includes('://')) return 'uri'
  if (use === 'mail') return 'email'
  return isIP(asked) > 0 ? 'ip' : 'dns'
}

/** Makes a root and an intermediate that may sign anything. */
async function makeFreeAuthority(now: Date): Promise<Authority> {
  const [rootKeys, keys] = [await generateKeys('p256'), await generateKeys('p256')]
  const root = signerOf(rootKeys, distinguishedName('Free', 'Free root'))
  const signer = signerOf(keys, distinguishedName('Free', 'Free issuing'))
  return {
    signer,
    root: await caBelow(rootKeys, root.name, root, now),
    intermediate: await caBelow(keys, signer.name, root, now),
  }
}

function signerOf(keys: KeyPairDer, name: Buffer): Signer {
  const key = createPrivateKey({ key: keys.pkcs8, format: 'der', type: 'pkcs8' })
  const signing = signWith(key)
  if (signing === null) throw new Error('a P-256 key signs')
  return { name, keyIdentifier: keyIdentifier(keys.spki), ...signing }
}

async function caBelow(
  { spki }: KeyPairDer,
  subject: Buffer,
  signer: Signer,
  now: Date,
): Promise<string> {
  const bit = extension.keyUsageBits
  const der = await signCertificate(
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
  return encodePem('CERTIFICATE', der)
}

async function leafOf(
  shape: Shape,
  { spki }: KeyPairDer,
  signer: Signer,
  now: Date,
): Promise<string> {
  const { names = null, moreNames = null, criticalNames = false, use = 'server' } = shape
  const { purposes = [purposeOf[use]], leafIsCa = false } = shape
  const alternatives = [names, moreNames].flatMap((all) =>
    all === null ? [] : [subjectAltName(all, criticalNames)],
  )
  const bit = extension.keyUsageBits
  const der = await signCertificate(
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
  return encodePem('CERTIFICATE', der)
}

const critical = (yes: boolean): Buffer[] => (yes ? [boolean(true)] : [])

const subjectAltName = (names: readonly Buffer[], isCritical: boolean): Buffer =>
  sequence(oids.subjectAltName, ...critical(isCritical), octetString(sequence(...names)))

/** Time stamping needs a critical one (RFC 3161 §2.3). */
const extKeyUsage = (purposes: readonly Buffer[], isCritical: boolean): Buffer =>
  sequence(oids.extKeyUsage, ...critical(isCritical), octetString(sequence(...purposes)))

const later = (now: Date): Date => new Date(now.getTime() + 1e10)
