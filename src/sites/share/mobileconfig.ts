import { createHash } from 'node:crypto'

export interface ProfileRoot {
  /** The name by which people find it in the settings of the phone. */
  readonly name: string
  readonly der: Buffer
}

/**
 * Returns a configuration profile that installs roots on iOS, iPadOS and macOS: a property list of Apple's
 * type `com.apple.security.root` (Apple, "Device Management": CertificateRoot). It is not signed: our
 * signature would not verify on a phone that does not trust us yet. Its identifiers follow from the
 * roots, so that the same roots replace their profile and others stand beside it.
 */
export function mobileconfig(roots: readonly ProfileRoot[], title: string): string {
  const all = uuidOf(Buffer.concat(roots.map(({ der }) => der)), 'profile')
  const payloads = roots.map(({ name, der }) => {
    const uuid = uuidOf(der, 'certificate')
    return dict([
      ['PayloadType', string('com.apple.security.root')],
      ['PayloadVersion', '<integer>1</integer>'],
      ['PayloadIdentifier', string(`dev.rootling.root.${uuid}`)],
      ['PayloadUUID', string(uuid)],
      ['PayloadDisplayName', string(name)],
      ['PayloadCertificateFileName', string('root.cer')],
      ['PayloadContent', `<data>${der.toString('base64')}</data>`],
    ])
  })
  const profile = dict([
    ['PayloadType', string('Configuration')],
    ['PayloadVersion', '<integer>1</integer>'],
    ['PayloadIdentifier', string(`dev.rootling.profile.${all}`)],
    ['PayloadUUID', string(all)],
    ['PayloadDisplayName', string(title)],
    [
      'PayloadDescription',
      string('Lets this device trust the websites that one developer runs for tests.'),
    ],
    ['PayloadRemovalDisallowed', '<false/>'],
    ['PayloadContent', `<array>\n${payloads.join('\n')}\n</array>`],
  ])
  return `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
${profile}
</plist>
`
}

const dict = (members: readonly (readonly [key: string, value: string])[]): string =>
  `<dict>\n${members.map(([key, value]) => `<key>${key}</key>\n${value}`).join('\n')}\n</dict>`

const string = (text: string): string => `<string>${escapeXml(text)}</string>`

/** Escapes text for XML, and leaves out the characters that XML 1.0 (section 2.2) has no way to write. */
const escapeXml = (text: string): string =>
  text
    .replace(/[^\t\n\r\u0020-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]/gu, '')
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')

/** Returns a UUID (RFC 9562, version 8) that follows from these octets. */
function uuidOf(octets: Buffer, what: string): string {
  const digest = createHash('sha256').update(`rootling ${what}\n`).update(octets).digest()
  digest[6] = ((digest[6] ?? 0) & 0x0f) | 0x80
  digest[8] = ((digest[8] ?? 0) & 0x3f) | 0x80
  const hex = digest.toString('hex')
  const parts = [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20)]
  return [...parts, hex.slice(20, 32)].join('-').toUpperCase()
}
