interface CertId {
  /** The key identifier of the issuer, hex. */
  readonly issuer: string
  /** Lower-case hex. */
  readonly serialNumber: string
}

/** Reads a certID (RFC 9773 §4.1); `null`: the text is none. */
export function readCertId(text: string): CertId | null {
  const match = /^([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)$/.exec(text)
  const [issuer = '', serialNumber = ''] = (match ?? []).slice(1).map((part) => {
    const octets = Buffer.from(part, 'base64url')
    return octets.toString('base64url') === part ? octets.toString('hex') : ''
  })
  return issuer === '' || serialNumber === '' ? null : { issuer, serialNumber }
}
