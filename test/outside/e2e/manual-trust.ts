import type { Namespace } from '../../helpers/namespace.ts'

const anchorFile = '/usr/local/share/ca-certificates/manual.crt'
const policyFile = '/etc/firefox/policies/policies.json'

// Every NSS database that a browser of this home may read.
const databases = `
for database in "$HOME"/.pki/nssdb "$HOME"/.local/share/pki/nssdb \\
  "$HOME"/.mozilla/firefox/*/ "$HOME"/.config/mozilla/firefox/*/
do
  [ -e "$database/cert9.db" ] || continue
`

/**
 * Trusts a root the way a patient person would by hand on Debian, with no code of Rootling: the
 * harness has to see every client accept it, or it could not judge an install.
 */
export async function trustByHand(namespace: Namespace, root: string): Promise<void> {
  await namespace.writeFile(anchorFile, root)
  await namespace.must('update-ca-certificates', [])
  await namespace.writeFile(
    policyFile,
    JSON.stringify({ policies: { Certificates: { Install: [anchorFile] } } }),
  )
  const script = `${databases} certutil -d "sql:$database" -A -t C,, -n manual -i "$1" || exit 1; done`
  const makeDatabase = `
    [ -e "$HOME/.pki/nssdb" ] || [ -e "$HOME/.local/share/pki/nssdb/cert9.db" ] || {
      mkdir -p "$HOME/.local/share/pki/nssdb"
      certutil -d "sql:$HOME/.local/share/pki/nssdb" -N --empty-password
    }`
  await namespace.must('sh', ['-ec', makeDatabase + script, 'sh', anchorFile])
}

/**
 * Takes back what `trustByHand` did. The policy of Firefox copies the root into every profile
 * under a name of its own, `CN - O`, and Java keeps what update-ca-certificates once gave it.
 */
export async function distrustByHand(namespace: Namespace, firefoxName: string): Promise<void> {
  await namespace.must('rm', [anchorFile, policyFile])
  await namespace.must('update-ca-certificates', ['--fresh'])
  const script = `${databases}
    for name in manual "$1"; do
      while certutil -d "sql:$database" -D -n "$name" 2>&1; do :; done
    done
  done`
  await namespace.must('sh', ['-c', script, 'sh', firefoxName])
  const keystore = ['-keystore', '/etc/ssl/certs/java/cacerts', '-storepass', 'changeit']
  if ((await namespace.run('sh', ['-c', 'command -v keytool'])).exitCode !== 0) return
  await namespace.run('keytool', ['-delete', ...keystore, '-alias', 'debian:manual.pem'])
}
