import { homedir } from 'node:os'
import { join } from 'node:path'
import { scrubbedEnvironment } from './scrubbed.ts'
import { run } from './subprocess.ts'
import { readTree } from './tree.ts'
import type { Tree } from './tree.ts'

const systemStores = [
  '/etc/ssl/certs',
  '/etc/pki',
  '/etc/ca-certificates',
  '/etc/ca-certificates.conf',
  '/usr/local/share/ca-certificates',
  '/etc/firefox',
  '/etc/firefox-esr',
  '/etc/chromium',
  '/etc/opt/chrome',
  '/etc/hosts',
  '/etc/passwd',
  '/var/lib/ca-certificates-java',
]
const userStores = [
  '.pki',
  '.local/share/pki',
  '.mozilla',
  '.config/mozilla',
  '.local/share/rootling',
  '.config/rootling',
]

const listKeystores = `
for file in /usr/lib/jvm/*/lib/security/cacerts /usr/lib/jvm/*/jre/lib/security/cacerts; do
  [ -e "$file" ] && echo "$file"
done
exit 0
`

/**
 * Returns the digests of what the trust stores of this machine and of the real home directory hold.
 * When the snapshots before and after a run differ, the run touched a store that is not its own. In
 * the browsers' directories only the certificate databases and profiles.ini count, because an open
 * browser writes the other files all the time.
 */
export async function snapshotHost(home: string = homedir()): Promise<Tree> {
  const onHost = (program: string, args: readonly string[]) =>
    run(program, args, scrubbedEnvironment(home))
  const keystores = (await onHost('sh', ['-c', listKeystores])).stdout.trim().split('\n')
  const paths = [...systemStores, ...keystores, ...userStores.map((name) => join(home, name))]
  const trees = await Promise.all(
    paths.filter((path) => path !== '').map((path) => readTree(onHost, path)),
  )
  const rows = trees.flatMap((tree) => Object.entries(tree))
  return Object.fromEntries(rows.filter(([path]) => counts(path)))
}

function counts(path: string): boolean {
  return !path.includes('mozilla/') || /\/(cert[89]\.db|profiles\.ini)$/.test(path)
}
