import { generateKeyPairSync, X509Certificate } from 'node:crypto'
import { setTimeout } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { distinguishedName, signWith, type Signer } from '../../src/x509/certificate.ts'
import { signCrl } from '../../src/x509/crl.ts'
import { parseIdentifier } from '../../src/x509/identifier.ts'
import { keyIdentifier } from '../../src/x509/keys.ts'
import { signServerLeaf } from '../../src/x509/profiles.ts'
import { signStandingResponse } from '../../src/x509/ocsp.ts'

// Ed25519, since it gives the same signature of the same octets every time (RFC 8032 §5.1.6).
const { privateKey, publicKey } = generateKeyPairSync('ed25519')
const spki = publicKey.export({ type: 'spki', format: 'der' })
const name = distinguishedName('Test', 'Test issuer')
const validity = { notBefore: new Date(0), notAfter: new Date(1e12) }

function signerAtOnce(): Signer {
  const signing = signWith(privateKey)
  if (signing === null) throw new Error('an Ed25519 key signs')
  return { name, keyIdentifier: keyIdentifier(spki), ...signing }
}

/** Signs one object of each kind that an issuer signs. */
const objects = {
  'a certificate': (signer) => {
    const identifiers = [parseIdentifier('localhost')]
    const fields = { serialNumber: Buffer.of(1), spki, rsa: false, identifiers, ...validity }
    return signServerLeaf(fields, signer)
  },
  'a CRL': (signer) => {
    const { notBefore: thisUpdate, notAfter: nextUpdate } = validity
    const reason = 'superseded' as const
    const entry = { serialNumber: Buffer.of(1), revocationDate: thisUpdate, reason }
    return signCrl({ thisUpdate, nextUpdate, crlNumber: 1 }, [entry], signer)
  },
  'an OCSP response': (signer) => signStandingResponse('01', validity, { name, spki }, signer),
} satisfies Record<string, (signer: Signer) => Promise<Buffer>>

const kinds = Object.entries(objects)

test.each(kinds)('%s is the same whether its signer signs at once or later', async (_, make) => {
  const atOnce = signerAtOnce()
  const sign = async (octets: Buffer): Promise<Buffer> => {
    await setTimeout(20)
    return atOnce.sign(octets)
  }
  const expected = await make(atOnce)
  const made = await make({ ...atOnce, sign })
  expect(made.toString('hex')).toBe(expected.toString('hex'))
})

test('a certificate from a signer that signs later is signed with its key', async () => {
  const atOnce = signerAtOnce()
  const sign = (octets: Buffer) => setTimeout(20, octets).then(atOnce.sign)
  const der = await objects['a certificate']({ ...atOnce, sign })
  expect(new X509Certificate(der).verify(publicKey)).toBe(true)
  const other = generateKeyPairSync('ed25519').publicKey
  expect(new X509Certificate(der).verify(other)).toBe(false)
})

test.each(kinds)('%s is not made when its signer refuses later', async (_, make) => {
  const sign = () => setTimeout(20).then(() => Promise.reject(new Error('no such device')))
  await expect(make({ ...signerAtOnce(), sign })).rejects.toThrow('no such device')
})
