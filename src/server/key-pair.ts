import { createPrivateKey, X509Certificate, type KeyObject } from 'node:crypto'
import { createSecureContext } from 'node:tls'
import { RootlingError } from '../errors.ts'
import {
  altNameParts,
  isIssuedBy,
  purposes,
  purposesOf,
  validityOf,
} from '../x509/parsed-certificate.ts'
import { certificateBlocks, isEncryptedKey, privateKeyBlocks } from '../x509/pem.ts'
import { formatDate, oneLine } from '../x509/text.ts'
import { quotedPath, shellWord } from '../shell-word.ts'

/** What a server presents: PEM chain (leaf first), PEM key, and the chain parsed. */
export interface KeyPair {
  readonly cert: string
  readonly key: string
  readonly leaf: X509Certificate
  /** Leaf first, in the order of the file. */
  readonly chain: readonly X509Certificate[]
  /** Why clients may refuse the certificate although the server can use it. */
  readonly warnings: readonly KeyPairWarning[]
}

export interface KeyPairWarning {
  readonly code: 'intermediate-missing' | 'unrelated-certificate' | 'not-for-servers'
  readonly sentence: string
  readonly hint: string
}

export interface KeyPairOrigin {
  /** The file of the certificate, for error sentences. */
  readonly certificateFile?: string | undefined
  readonly keyFile?: string | undefined
  /** PEM roots that clients are known to have; without them no missing intermediate is noticed. */
  readonly roots?: readonly string[] | undefined
}

/**
 * Checks a PEM certificate chain and its PEM key before a server uses them. Throws
 * `bad-certificate` (none in the file, not yet valid, expired, too weak) or `bad-key` (none in the
 * file, encrypted, of another certificate).
 */
export function loadKeyPair(
  certPem: string,
  keyPem: string,
  now: Date,
  origin: KeyPairOrigin = {},
): KeyPair {
  const certificateFile = origin.certificateFile ?? 'The certificate'
  const keyFile = origin.keyFile ?? 'The key'
  const chain = parseChain(certPem, certificateFile)
  const leaf = chain[0] as X509Certificate
  const key = parseKey(keyPem, keyFile)
  checkValidity(leaf, now, certificateFile)
  checkMatch(chain, key, certificateFile, keyFile)
  const cert = chain.map((certificate) => certificate.toString()).join('')
  const pem = key.export({ type: 'pkcs8', format: 'pem' }).toString()
  checkUsable(cert, pem, certificateFile)
  const warnings = warningsOf(chain, origin.roots, certificateFile)
  return { cert, key: pem, leaf, chain, warnings }
}

function parseChain(pem: string, file: string): X509Certificate[] {
  const blocks = certificateBlocks(pem)
  if (blocks.length === 0)
    throw new RootlingError('bad-certificate', `${quotedPath(file)} holds no PEM certificate.`, {
      hint:
        privateKeyBlocks(pem).length > 0
          ? 'It holds a key: were --cert and --key swapped?'
          : 'A PEM certificate starts with -----BEGIN CERTIFICATE-----',
    })
  return blocks.map(({ text }, index) => {
    try {
      return new X509Certificate(text)
    } catch (cause) {
      const sentence = `${quotedPath(file)}: certificate ${index + 1} of ${blocks.length} cannot be read.`
      throw new RootlingError('bad-certificate', sentence, { cause })
    }
  })
}

function parseKey(pem: string, file: string): KeyObject {
  const [block] = privateKeyBlocks(pem)
  if (block === undefined)
    throw new RootlingError('bad-key', `${quotedPath(file)} holds no PEM private key.`, {
      hint: pem.includes('BEGIN CERTIFICATE')
        ? 'It holds a certificate: were --cert and --key swapped?'
        : 'A PEM key starts with -----BEGIN PRIVATE KEY-----',
    })
  if (isEncryptedKey(block))
    throw new RootlingError(
      'bad-key',
      `${quotedPath(file)} is encrypted; a server needs it unencrypted.`,
      {
        hint: `openssl pkey -in ${shellWord(file)} -out plain-key.pem`,
      },
    )
  try {
    return createPrivateKey(block.text)
  } catch (cause) {
    throw new RootlingError(
      'bad-key',
      `${quotedPath(file)} holds a private key that cannot be read.`,
      {
        cause,
      },
    )
  }
}

function checkValidity(leaf: X509Certificate, now: Date, file: string): void {
  const { notBefore, notAfter } = validityOf(leaf)
  const hint = 'To make a new one: rootling issue'
  if (now > notAfter) {
    const sentence = `${quotedPath(file)} expired on ${formatDate(notAfter)}.`
    throw new RootlingError('bad-certificate', sentence, { hint })
  }
  if (now < notBefore) {
    const sentence = `${quotedPath(file)} is not valid before ${formatDate(notBefore)}.`
    throw new RootlingError('bad-certificate', sentence, { hint: "Check this machine's clock" })
  }
}

function checkMatch(
  chain: readonly X509Certificate[],
  key: KeyObject,
  certificateFile: string,
  keyFile: string,
): void {
  if (chain[0]?.checkPrivateKey(key)) return
  const elsewhere = chain.findIndex((certificate) => certificate.checkPrivateKey(key))
  if (elsewhere === -1)
    throw new RootlingError(
      'bad-key',
      `${quotedPath(keyFile)} is not the key of ${quotedPath(certificateFile)}.`,
      {
        hint: 'A certificate works only with the key that it was issued for',
      },
    )
  const position = `certificate ${elsewhere + 1} in ${certificateFile}`
  throw new RootlingError(
    'bad-key',
    `${quotedPath(keyFile)} is the key of ${position}, not of its first.`,
    {
      hint: 'Put the server certificate first, then its issuers',
    },
  )
}

/** Lets OpenSSL refuse keys that are too small and signatures that are too weak. */
function checkUsable(cert: string, key: string, file: string): void {
  try {
    createSecureContext({ cert, key })
  } catch (cause) {
    const reason = (cause as { reason?: string }).reason ?? (cause as Error).message
    throw new RootlingError(
      'bad-certificate',
      `${quotedPath(file)} is refused by OpenSSL: ${reason}.`,
      {
        cause,
      },
    )
  }
}

function warningsOf(
  chain: readonly X509Certificate[],
  roots: readonly string[] | undefined,
  file: string,
): KeyPairWarning[] {
  const warnings: KeyPairWarning[] = []
  const leaf = chain[0] as X509Certificate
  for (const [index, issuer] of chain.entries()) {
    const subject = chain[index - 1]
    if (subject === undefined || isIssuedBy(subject, issuer)) continue
    warnings.push({
      code: 'unrelated-certificate',
      sentence: `${quotedPath(file)}: certificate ${index + 1} did not issue the one before it.`,
      hint: 'The order is: server certificate, its issuer, the issuer of that',
    })
  }
  const last = chain.findLast((certificate, index) => {
    const before = chain[index - 1]
    return before === undefined || isIssuedBy(before, certificate)
  }) as X509Certificate
  if (roots !== undefined && !isIssuedBy(last, last) && !issuedByAny(last, roots)) {
    const end = `${quotedPath(file)} ends at “${oneLine(holderOf(last))}”`
    const issuer = `its issuer “${oneLine(last.issuer)}” is neither in the file nor a known root`
    warnings.push({
      code: 'intermediate-missing',
      sentence: `${end}; ${issuer}, so clients may refuse it.`,
      hint: 'Append the certificate of the issuer to the file',
    })
  }
  const permitted = purposesOf(leaf)
  if (permitted.length > 0 && !permitted.includes(purposes.serverAuth))
    warnings.push({
      code: 'not-for-servers',
      sentence: `${quotedPath(file)} is not for servers (its extKeyUsage lacks serverAuth).`,
      hint: 'To make one for servers: rootling issue',
    })
  return warnings
}

/** Returns the subject, or the names where it is empty; Node then has none. */
const holderOf = (
  certificate: Partial<Pick<X509Certificate, 'subject' | 'subjectAltName'>>,
): string => certificate.subject ?? altNameParts(certificate).join(', ')

function issuedByAny(certificate: X509Certificate, roots: readonly string[]): boolean {
  return roots
    .flatMap(certificateBlocks)
    .some(({ text }) => isIssuedBy(certificate, new X509Certificate(text)))
}
