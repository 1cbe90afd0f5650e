import { objectIdentifier } from './asn1.ts'

/** Object identifiers, already encoded (RFC 5280, RFC 5480, RFC 5758, RFC 8410). */
export const oids = {
  organizationName: objectIdentifier('2.5.4.10'),
  commonName: objectIdentifier('2.5.4.3'),
  subjectKeyIdentifier: objectIdentifier('2.5.29.14'),
  keyUsage: objectIdentifier('2.5.29.15'),
  subjectAltName: objectIdentifier('2.5.29.17'),
  basicConstraints: objectIdentifier('2.5.29.19'),
  crlNumber: objectIdentifier('2.5.29.20'),
  nameConstraints: objectIdentifier('2.5.29.30'),
  authorityKeyIdentifier: objectIdentifier('2.5.29.35'),
  extKeyUsage: objectIdentifier('2.5.29.37'),
  serverAuth: objectIdentifier('1.3.6.1.5.5.7.3.1'),
  clientAuth: objectIdentifier('1.3.6.1.5.5.7.3.2'),
  emailProtection: objectIdentifier('1.3.6.1.5.5.7.3.4'),
  ecdsaWithSha256: objectIdentifier('1.2.840.10045.4.3.2'),
  ecdsaWithSha384: objectIdentifier('1.2.840.10045.4.3.3'),
  sha256WithRsaEncryption: objectIdentifier('1.2.840.113549.1.1.11'),
  ed25519: objectIdentifier('1.3.101.112'),
  reasonCode: objectIdentifier('2.5.29.21'),
  cRLDistributionPoints: objectIdentifier('2.5.29.31'),
  authorityInfoAccess: objectIdentifier('1.3.6.1.5.5.7.1.1'),
  ocsp: objectIdentifier('1.3.6.1.5.5.7.48.1'),
  ocspBasic: objectIdentifier('1.3.6.1.5.5.7.48.1.1'),
  ocspNonce: objectIdentifier('1.3.6.1.5.5.7.48.1.2'),
  extensionRequest: objectIdentifier('1.2.840.113549.1.9.14'),
} as const
