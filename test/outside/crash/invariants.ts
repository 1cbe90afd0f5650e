import { createPrivateKey, verify, X509Certificate } from 'node:crypto'
import { lstat, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { readScopes } from '../../../src/authority/scope.ts'
import { openSigner } from '../../../src/authority/signer.ts'
import { readRecord } from '../../../src/storage/files/record.ts'
import { keysOf } from '../../../src/storage/files/keys.ts'

const compare = (a: string, b: string): number => (a < b ? -1 : 1)

/** Every file and directory below a path, as paths relative to it; absent: none. */
export async function tree(path: string): Promise<string[]> {
  return (await readdir(path, { recursive: true }).catch(() => [])).toSorted(compare)
}

const scopeFiles = 'intermediate-key.pem intermediate.pem root.crl root.pem scope.json'
const hardenedFiles = scopeFiles.replace('root.crl', 'root-openssl.pem root.crl')
const clientFiles = scopeFiles.replace('root.crl', 'root.crl root.ocsp')
/** What a scope has only when it was asked for a CRL. */
const asked = 'crl-number'

/**
 * What must hold after any accident, as sentences about what does not: whole scopes, pairs that
 * match, no certificate without a record, no serial twice, no leftovers, no key for others.
 */
export async function violations(statePath: string, out: string): Promise<string[]> {
  const state = { path: statePath, owner: null }
  const found: string[] = []
  const claim = (holds: boolean, otherwise: string): void => {
    if (!holds) found.push(otherwise)
  }
  for (const scope of await readScopes(state)) {
    const { algorithm, sign } = await openSigner(keysOf(state), scope, new Date())
    const octets = Buffer.from('any octets')
    const { publicKey } = scope.intermediate
    const fits = verify(algorithm.digest, octets, publicKey, await sign(octets))
    claim(fits, `the key of ${scope.name} is not its intermediate's`)
    const names = await readdir(join(statePath, 'scopes', scope.name))
    const files = names
      .filter((name) => name !== asked)
      .toSorted()
      .join(' ')
    const ordinary = scope.use === 'clients' ? clientFiles : scopeFiles
    const wanted = scope.copies === null ? ordinary : hardenedFiles
    claim(files === wanted, `the scope ${scope.name} holds ${files}`)
    const issued = scope.intermediate.verify(scope.root.publicKey)
    claim(issued, `the intermediate of ${scope.name} is not its root's`)
  }
  const record = await readRecord(state)
  const serials = record.map(({ serialNumber }) => serialNumber)
  claim(new Set(serials).size === serials.length, 'a serial number was given twice')
  for (const name of (await tree(out)).filter((file) => /(?<!-key)\.pem$/.test(file))) {
    const certificate = new X509Certificate(await readFile(join(out, name)))
    const keyFile = name.endsWith('-full.pem') ? name : name.replace(/\.pem$/, '-key.pem')
    const key = await readFile(join(out, keyFile), 'utf8').catch(() => null)
    const pair = key !== null && certificate.checkPrivateKey(createPrivateKey(key))
    claim(pair, `${name} and its key are no pair`)
    claim(serials.includes(certificate.serialNumber.toLowerCase()), `${name} is not in the record`)
  }
  for (const directory of [statePath, out])
    for (const name of await tree(directory)) {
      claim(!name.includes('.rootling-tmp-'), `${name} was left over`)
      claim(!/^pending\/./.test(name), `${name} is still pending`)
      const { mode } = await lstat(join(directory, name))
      if (name.endsWith('-key.pem')) claim((mode & 0o077) === 0, `others can read ${name}`)
    }
  return found
}
