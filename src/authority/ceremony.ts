import { createHash, createPrivateKey, X509Certificate } from 'node:crypto'
import type { ScopeWithKey } from '../storage/scopes.ts'
import { signWith, type Signer } from '../x509/certificate.ts'
import { signEmptyCrl } from '../x509/crl.ts'
import { generateKeys, keyIdentifier, type KeyPairDer } from '../x509/keys.ts'
import type { NameConstraints } from '../x509/name-constraints.ts'
import { signStandingResponse } from '../x509/ocsp.ts'
import { encodePem } from '../x509/pem.ts'
import {
  authorityName,
  authorityValidity,
  signIntermediate,
  signRoot,
  signRootCopies,
  type AuthorityUse,
} from '../x509/profiles.ts'

export interface ScopePlan {
  readonly name: string
  /** Default `servers`. */
  readonly use?: AuthorityUse | undefined
  readonly permitted: readonly string[]
  /** `null`: may sign any name. */
  readonly constraints: NameConstraints | null
  /**
   * Whether OpenSSL and programs built on it shall take no common name of the scope's leaves for a
   * host. Only a scope of `servers` with constraints can be hardened.
   */
  readonly hardened?: boolean | undefined
  /**
   * The name of the authority, which the subjects contain. Absent: the default authority, which has
   * no name.
   */
  readonly authority?: string | undefined
}

/**
 * Makes a scope: a root that signs itself, one intermediate, one empty CRL and, for clients, an OCSP
 * response that the intermediate is good. The root's private
 * key exists in the memory of this function alone and is wiped before it returns. Writes nothing.
 *
 * A hardened root is signed in two more forms, for OpenSSL. Its intermediate has the root's own
 * subject, so that what they say of subjects applies to leaves alone. By that subject clients would
 * take the root's CRL for one of leaves, so the CRL says that it is not.
 */
export async function makeScope(plan: ScopePlan, now: Date): Promise<ScopeWithKey> {
  const validity = authorityValidity(now)
  const { name, use = 'servers', permitted, constraints, authority } = plan
  const rootKeys = await generateKeys('p256')
  const keys = await generateKeys('p256')
  const root = signerOf(rootKeys, authorityName('root', use, hashOf(rootKeys), authority))
  const hardenedBy = plan.hardened === true ? constraintsToHarden(plan) : null
  const issuerName =
    hardenedBy === null ? authorityName('issuing', use, hashOf(keys), authority) : root.name
  const rootFields = { name: root.name, use, spki: rootKeys.spki, constraints, ...validity }
  const issuerFields = { name: issuerName, use, spki: keys.spki, constraints, ...validity }
  const rootDer = await signRoot(rootFields, root)
  const intermediateDer = await signIntermediate(issuerFields, root)
  const copies = hardenedBy === null ? null : await signRootCopies(rootFields, hardenedBy, root)
  const rootCrl = await signEmptyCrl(
    {
      thisUpdate: validity.notBefore,
      nextUpdate: validity.notAfter,
      crlNumber: 1,
      authoritiesOnly: copies !== null,
    },
    root,
  )
  const rootIssuer = { name: root.name, spki: rootKeys.spki }
  const rootOcsp =
    use === 'clients'
      ? await signStandingResponse(
          new X509Certificate(intermediateDer).serialNumber,
          validity,
          rootIssuer,
          root,
        )
      : null
  rootKeys.pkcs8.fill(0)
  return {
    scope: {
      name,
      ...(use === 'servers' ? {} : { use }),
      permitted,
      constraints,
      created: now.toISOString(),
      issuerName: issuerName.toString('base64'),
      issuerKeyIdentifier: keyIdentifier(keys.spki).toString('hex'),
      notBefore: validity.notBefore.toISOString(),
      notAfter: validity.notAfter.toISOString(),
      rootNotAfter: validity.notAfter.toISOString(),
    },
    root: encodePem('CERTIFICATE', rootDer),
    ...(copies === null
      ? {}
      : {
          rootCopies:
            encodePem('CERTIFICATE', copies.excluding) + encodePem('CERTIFICATE', copies.notCa),
        }),
    intermediate: encodePem('CERTIFICATE', intermediateDer),
    rootCrl,
    ...(rootOcsp === null ? {} : { rootOcsp }),
    intermediateKey: encodePem('PRIVATE KEY', keys.pkcs8),
  }
}

function constraintsToHarden({ use = 'servers', constraints }: ScopePlan): NameConstraints {
  if (use === 'servers' && constraints !== null) return constraints
  throw new TypeError('only a scope of servers with constraints can be hardened')
}

function signerOf(keys: KeyPairDer, name: Buffer): Signer {
  const key = createPrivateKey({ key: keys.pkcs8, format: 'der', type: 'pkcs8' })
  const signing = signWith(key)
  if (signing === null) throw new TypeError('a P-256 key always has a signature algorithm')
  return { name, keyIdentifier: keyIdentifier(keys.spki), ...signing }
}

function hashOf({ spki }: KeyPairDer): string {
  return createHash('sha256').update(spki).digest('hex')
}
