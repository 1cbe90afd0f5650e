import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { scrubbedEnvironment } from './scrubbed.ts'
import { run } from './subprocess.ts'

/** A CA that OpenSSL made in a temporary directory, independent of the code under test. */
export interface OpensslCa {
  /** The root, PEM. */
  readonly root: string
  /**
   * Issues a certificate for DNS names and IP addresses. Key and certificate are PEM; `cert` does
   * not include the root.
   */
  issue(hosts: readonly string[]): Promise<{ readonly key: string; readonly cert: string }>
  /** Deletes the directory with the keys. */
  remove(): void
}

/** Makes a CA with P-256 keys, valid for two days. */
export async function createOpensslCa(commonName: string): Promise<OpensslCa> {
  const directory = mkdtempSync(join(tmpdir(), 'rootling-openssl-'))
  const read = (name: string) => readFileSync(join(directory, name), 'utf8')
  const openssl = async (args: string) => {
    // `env --chdir` keeps every file name in the arguments relative.
    const command = [`--chdir=${directory}`, 'openssl', ...args.trim().split(/\s+/)]
    const { exitCode, stderr } = await run('env', command, scrubbedEnvironment(directory))
    if (exitCode !== 0) throw new Error(`openssl ${args} failed: ${stderr}`)
  }
  writeFileSync(join(directory, 'root.cnf'), requestSection(`CN=${commonName}`))
  await openssl(`
    req -x509 -config root.cnf -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2
    -keyout root.key -out root.crt -addext basicConstraints=critical,CA:TRUE
    -addext subjectKeyIdentifier=hash -addext keyUsage=critical,keyCertSign,cRLSign`)
  writeFileSync(join(directory, 'leaf.cnf'), requestSection(''))
  return {
    root: read('root.crt'),
    async issue(hosts) {
      const names = hosts.map((host) => `${isIP(host) ? 'IP' : 'DNS'}:${host}`).join(',')
      await openssl(`
        req -x509 -config leaf.cnf -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2
        -CA root.crt -CAkey root.key -keyout leaf.key -out leaf.crt
        -addext subjectAltName=${names} -addext basicConstraints=critical,CA:FALSE
        -addext authorityKeyIdentifier=keyid -addext keyUsage=critical,digitalSignature
        -addext extendedKeyUsage=serverAuth`)
      return { key: read('leaf.key'), cert: read('leaf.crt') }
    },
    remove: () => rmSync(directory, { recursive: true }),
  }
}

/**
 * Returns a configuration for `openssl req`. The system's own would add extensions that nobody
 * asked for.
 */
function requestSection(commonName: string): string {
  const subject = `${commonName}\nO=Rootling tests\n`
  return `[req]\nprompt=no\ndistinguished_name=subject\n[subject]\n${subject}`
}
