// What every package of Rootling says of it. Its name, version, summary, licence and address are
// those of package.json.
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from '../prepare.mjs'

const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const repository = manifest.repository.url.replace(/^git\+|\.git$/g, '')
const organization = new URL(repository).pathname.split('/')[1]

export const description = {
  name: manifest.name,
  version: manifest.version,
  /** Without the article, as packages begin it. */
  summary: manifest.description.split(':')[0].replace('The ', ''),
  license: manifest.license,
  homepage: repository,
  bugs: manifest.bugs.url,
  maintainer: {
    name: 'The Rootling authors',
    email: `${organization}@users.noreply.github.com`,
  },
  text: [
    'One command makes a certificate authority of your own, puts its root into every trust store of this machine, and from then on issues certificates for localhost and other local names that browsers, curl, Java and the rest trust.',
    'The root key is not kept, and the key that is kept can sign local names only. A daemon, which each user may start, renews certificates, answers ACME clients and gives local servers HTTPS names.',
  ],
  /** The oldest GNU C library that the executable for Linux runs with. */
  glibc: '2.28',
}

/** Where a release's files are. */
export const downloads = `${repository}/releases/download/v${description.version}`

/** The systems and processors that have an executable, with their names elsewhere. */
export const targets = {
  'linux-x64': { deb: 'amd64', rpm: 'x86_64' },
  'linux-arm64': { deb: 'arm64', rpm: 'aarch64' },
  'darwin-x64': {},
  'darwin-arm64': {},
  'win32-x64': {},
  'win32-arm64': {},
}

/** The time of a release in seconds, which all its files have: that of its commit. */
export function releaseTime() {
  const given = process.env.SOURCE_DATE_EPOCH
  if (given !== undefined) return Number(given)
  const args = ['log', '-1', '--format=%ct']
  return Number(execFileSync('git', args, { cwd: root, encoding: 'utf8' }))
}
