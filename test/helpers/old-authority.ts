import { createHash, createPrivateKey } from 'node:crypto'
import type { StateDirectory } from '../../src/home/state-directory.ts'
import { createScope } from '../../src/storage/files/scopes.ts'
import { exclusively } from '../../src/storage/files/unfinished-writes.ts'
import {
  randomSerialNumber,
  signCertificate,
  signWith,
  type Signer,
} from '../../src/x509/certificate.ts'
import * as extension from '../../src/x509/extensions.ts'
import { generateKeys, keyIdentifier } from '../../src/x509/keys.ts'
import { localConstraints } from '../../src/x509/name-constraints.ts'
import { oids } from '../../src/x509/oids.ts'
import { encodePem } from '../../src/x509/pem.ts'
import { authorityName, authorityValidity, signRoot } from '../../src/x509/profiles.ts'

async function newSigner(
  role: 'root' | 'issuing',
): Promise<Signer & { spki: Buffer; pkcs8: Buffer }> {
  const keys = await generateKeys('p256')
  const key = createPrivateKey({ key: keys.pkcs8, format: 'der', type: 'pkcs8' })
  const signing = signWith(key)
  if (signing === null) throw new Error('no algorithm')
  const name = authorityName(role, 'servers', createHash('sha256').update(keys.spki).digest('hex'))
  return { ...keys, name, keyIdentifier: keyIdentifier(keys.spki), ...signing }
}

/**
 * Adds the scope `local` as Rootling made it before clients and mail had scopes of their own: its
 * intermediate permits serverAuth, clientAuth and emailProtection.
 */
export async function addOldAuthority(state: StateDirectory): Promise<void> {
  const validity = authorityValidity(new Date())
  const [root, issuing] = [await newSigner('root'), await newSigner('issuing')]
  const constraints = localConstraints
  const { name, spki } = root
  const rootDer = await signRoot({ name, spki, use: 'servers', constraints, ...validity }, root)
  const { keyCertSign, cRLSign } = extension.keyUsageBits
  const intermediateDer = await signCertificate(
    {
      serialNumber: randomSerialNumber(),
      subject: issuing.name,
      spki: issuing.spki,
      ...validity,
      extensions: [
        extension.basicConstraints(true, 0),
        extension.keyUsage([keyCertSign, cRLSign]),
        extension.subjectKeyIdentifier(issuing.keyIdentifier),
        extension.extKeyUsage([oids.serverAuth, oids.clientAuth, oids.emailProtection]),
        extension.authorityKeyIdentifier(root.keyIdentifier),
        extension.nameConstraints(constraints),
      ],
    },
    root,
  )
  const [notBefore, notAfter] = [validity.notBefore, validity.notAfter].map((at) =>
    at.toISOString(),
  )
  if (notBefore === undefined || notAfter === undefined) throw new Error('no validity')
  const files = {
    scope: {
      name: 'local',
      permitted: [],
      constraints,
      created: new Date().toISOString(),
      issuerName: issuing.name.toString('base64'),
      issuerKeyIdentifier: issuing.keyIdentifier.toString('hex'),
      notBefore,
      notAfter,
      rootNotAfter: notAfter,
    },
    root: encodePem('CERTIFICATE', rootDer),
    intermediate: encodePem('CERTIFICATE', intermediateDer),
    rootCrl: null,
    intermediateKey: encodePem('PRIVATE KEY', issuing.pkcs8),
  }
  await exclusively(state, () => createScope(state, files))
}
