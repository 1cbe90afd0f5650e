import type { Tool } from '../packages.ts'

/** How the distributions of one family keep the roots that the local administrator adds. */
export interface LinuxFamily {
  readonly name: string
  /** The directory for added roots. A machine that has it belongs to this family. */
  readonly directory: string
  readonly extension: '.crt' | '.pem'
  /** The command that makes the system read the directory. */
  readonly refresh: readonly [Tool | 'certctl', ...string[]]
  /** The command to use where `refresh` is not on the machine. */
  readonly refreshOtherwise?: readonly ['trust', 'extract-compat']
  /** The command to use after a removal, where it differs from `refresh`. */
  readonly refreshAfterRemoval?: readonly [Tool | 'certctl', ...string[]]
  /**
   * The file that programs read, which the refresh writes; a root that is not in it is not trusted.
   * `null`: this family has none.
   */
  readonly bundle: string | null
  /**
   * The directory of OpenSSL's `<hash>.<n>` links; `null`: a root need not be there to be trusted.
   */
  readonly hashLinks: string | null
  /** A directory of scripts that read changes on standard input: `+FILE` added, `-FILE` removed. */
  readonly hooks?: string
  /**
   * The ID and VERSION_ID in /etc/os-release of the releases on which the copies of a hardened root
   * were tried with every program; default: they were tried on none.
   */
  readonly takesCopies?: { readonly id: string; readonly versions: readonly string[] }
}

/**
 * The known families. They are tried in this order, and the first whose directory exists is used.
 * The Debian row was tried on Debian 12; the others come from the distributions' documentation.
 */
export const linuxFamilies: readonly LinuxFamily[] = [
  {
    name: 'Fedora, RHEL',
    directory: '/etc/pki/ca-trust/source/anchors',
    extension: '.pem',
    refresh: ['update-ca-trust', 'extract'],
    bundle: '/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem',
    hashLinks: null,
  },
  {
    name: 'Debian, Ubuntu, Alpine, Gentoo, Slackware',
    directory: '/usr/local/share/ca-certificates',
    extension: '.crt',
    refresh: ['update-ca-certificates'],
    refreshAfterRemoval: ['update-ca-certificates', '--fresh'],
    bundle: '/etc/ssl/certs/ca-certificates.crt',
    hashLinks: '/etc/ssl/certs',
    hooks: '/etc/ca-certificates/update.d',
    takesCopies: { id: 'debian', versions: ['12', '13'] },
  },
  {
    name: 'Arch',
    directory: '/etc/ca-certificates/trust-source/anchors',
    extension: '.crt',
    refresh: ['update-ca-trust'],
    refreshOtherwise: ['trust', 'extract-compat'],
    bundle: '/etc/ca-certificates/extracted/tls-ca-bundle.pem',
    hashLinks: null,
  },
  {
    name: 'openSUSE',
    directory: '/etc/pki/trust/anchors',
    extension: '.pem',
    refresh: ['update-ca-certificates'],
    bundle: '/var/lib/ca-certificates/ca-bundle.pem',
    hashLinks: null,
  },
  {
    name: 'openSUSE (read-only /etc)',
    directory: '/usr/share/pki/trust/anchors',
    extension: '.pem',
    refresh: ['update-ca-certificates'],
    bundle: '/var/lib/ca-certificates/ca-bundle.pem',
    hashLinks: null,
  },
  {
    name: 'FreeBSD',
    directory: '/usr/local/etc/ssl/certs',
    extension: '.crt',
    refresh: ['certctl', 'rehash'],
    bundle: null,
    hashLinks: '/etc/ssl/certs',
  },
]

/**
 * The family that is used when no directory of any family exists but `update-ca-certificates` does;
 * its directory is then created.
 */
export const directoryLessFamily = 'Debian, Ubuntu, Alpine, Gentoo, Slackware'
