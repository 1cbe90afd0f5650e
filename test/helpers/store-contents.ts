import { X509Certificate } from 'node:crypto'
import type { Namespace } from './namespace.ts'

/** The directories, besides the home directory, in which files may hold a root. */
const directories = ['/etc', '/usr/local/share', '/usr/share/pki', '/var/lib/ca-certificates']

// This script runs inside the namespace. It finds the root as DER, as PEM alone or in a bundle, and
// as bare base64 in a policy. Databases are left out, because a deleted record may remain in their
// free pages; NSS and Java are asked instead. ~/.cache is left out, because Chromium keeps the
// chain that a server sent beside every page.
const searchFiles = `
const { readdirSync, readFileSync } = require('node:fs')
const [base64, ...directories] = process.argv.slice(1)
const der = Buffer.from(base64, 'base64')
const holds = (path) => {
  let bytes
  try {
    bytes = readFileSync(path)
  } catch (error) {
    // What a killed program had started may still rename its files.
    if (error.code === 'ENOENT') return false
    throw error
  }
  return bytes.includes(der) || bytes.toString('latin1').replace(/\\s|\\\\n/g, '').includes(base64)
}
const search = (directory) => {
  let entries
  try {
    entries = readdirSync(directory, { withFileTypes: true })
  } catch {
    return
  }
  for (const entry of entries) {
    const path = directory + '/' + entry.name
    if (entry.isDirectory() && entry.name !== '.cache') search(path)
    else if (entry.isFile() && !/(\\.(db|sqlite)|cacerts)$/.test(path) && holds(path)) console.log(path)
  }
}
directories.forEach(search)
`

const listNssDatabases = `
find "$HOME" /etc/pki -name cert9.db -printf '%h\\n' 2>/dev/null
exit 0
`

// Several links to one keystore, such as Debian's, count once.
const listKeystores = `
for file in /etc/ssl/certs/java/cacerts /usr/lib/jvm/*/lib/security/cacerts; do
  [ -e "$file" ] && readlink -f "$file"
done | sort -u
`

/**
 * Returns every place inside the namespace that holds this root, found by its DER and not by a
 * name: the path of a file, `nss:DIRECTORY`, or `java:KEYSTORE`, sorted. The state directory of a
 * CA is found too, if it is in the home directory. Databases are read with certutil and keytool;
 * where one of these programs is not installed, its stores are left out.
 */
export async function findRoot(namespace: Namespace, root: string): Promise<string[]> {
  const base64 = new X509Certificate(root).raw.toString('base64')
  const lines = async (program: string, args: readonly string[]) =>
    (await namespace.must(program, args)).stdout.split('\n').filter((line) => line !== '')
  const has = async (program: string) =>
    (await namespace.run('sh', ['-c', `command -v ${program}`])).exitCode === 0

  const places = [namespace.home, ...directories]
  const found = await lines(process.execPath, ['-e', searchFiles, base64, ...places])
  if (await has('certutil')) {
    for (const database of await lines('sh', ['-c', listNssDatabases])) {
      const certificates = await readNssDatabase(namespace, database)
      if (certificates.includes(base64)) found.push(`nss:${database}`)
    }
  }
  if (await has('keytool')) {
    for (const keystore of await lines('sh', ['-c', listKeystores])) {
      const list = ['-list', '-rfc', '-keystore', keystore, '-storepass', 'changeit']
      const { stdout } = await namespace.must('keytool', list)
      if (stdout.replaceAll(/\s/g, '').includes(base64)) found.push(`java:${keystore}`)
    }
  }
  return found.toSorted((a, b) => (a < b ? -1 : 1))
}

/** Returns all certificates of a database as one base64 text without line breaks. */
async function readNssDatabase(namespace: Namespace, directory: string): Promise<string> {
  const database = ['-L', '-d', `sql:${directory}`]
  const { stdout } = await namespace.must('certutil', database)
  // A row is a nickname, then its three trust flags; the heading has no flags.
  const rows = stdout.matchAll(/^(.+?) +[CTPcpuw]*,[CTPcpuw]*,[CTPcpuw]* *$/gm)
  let certificates = ''
  for (const [, nickname = ''] of rows) {
    certificates += (await namespace.must('certutil', [...database, '-a', '-n', nickname])).stdout
  }
  return certificates.replaceAll(/\s/g, '')
}
