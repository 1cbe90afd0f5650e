import { readFileSync, statSync } from 'node:fs'

/**
 * The files in which Unix systems keep all their roots, as Go looks for them (crypto/x509,
 * root_linux.go and root_bsd.go). The first that is there counts.
 */
const rootFiles: readonly string[] = [
  '/etc/ssl/certs/ca-certificates.crt', // Debian, Ubuntu, Arch, Gentoo, NixOS
  '/etc/pki/tls/certs/ca-bundle.crt', // Fedora, RHEL 6
  '/etc/ssl/ca-bundle.pem', // openSUSE
  '/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem', // Fedora, RHEL 7 and later
  '/etc/ssl/cert.pem', // Alpine, OpenBSD
  '/usr/local/etc/ssl/cert.pem', // FreeBSD
]

/** The roots that this system trusts. */
export interface SystemRoots {
  /** Changes whenever the roots may have changed. */
  readonly stamp: string
  /** Returns the roots as PEM. */
  readonly read: () => Promise<string>
}

/**
 * Finds the roots that this system trusts. macOS and Windows keep no file of them, so Node is asked
 * (22.15 or later), once a day; where nobody knows the system's roots, those that Node brings with
 * it take their place.
 */
export async function findSystemRoots(
  files = rootFiles,
  system: NodeJS.Platform = process.platform,
): Promise<SystemRoots> {
  // The file of macOS lacks what the user or an administrator added to a keychain.
  for (const file of system === 'darwin' ? [] : files) {
    const info = statSync(file, { bigint: true, throwIfNoEntry: false })
    if (info?.isFile() !== true || info.size === 0n) continue
    return {
      stamp: `${file} ${info.ino} ${info.size} ${info.mtimeNs}`,
      read: async () => readFileSync(file, 'utf8'),
    }
  }
  return { stamp: new Date().toISOString().slice(0, 10), read: rootsOfNode }
}

async function rootsOfNode(): Promise<string> {
  const tls: Tls = await import('node:tls')
  return [...(tls.getCACertificates?.('system') ?? []), ...tls.rootCertificates].join('\n')
}

/** What is used of Node's module; Node 20 lacks the function. */
interface Tls {
  readonly rootCertificates: readonly string[]
  readonly getCACertificates?: (type: 'system') => readonly string[]
}
