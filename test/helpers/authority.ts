import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ensureAuthority } from '../../src/authority/create.ts'
import { rootForOpenssl, type Scope } from '../../src/authority/scope.ts'
import { makeCrl, readRootCrl } from '../../src/certificates/crl.ts'
import { issue } from '../../src/certificates/issue.ts'
import { revoke } from '../../src/certificates/revoke.ts'
import type { StateDirectory } from '../../src/home/state-directory.ts'
import type { CertificateRecord } from '../../src/storage/records.ts'
import { encodePem } from '../../src/x509/pem.ts'
import type { RevocationReason } from '../../src/x509/revocation.ts'
import { runTool } from './tools.ts'
import { temporaryDirectory, temporaryState } from './temporary.ts'
import { fileStorage } from '../../src/storage/files/storage.ts'

/** An authority with its files in a directory, deleted when the test ends. */
export interface World {
  readonly state: StateDirectory
  readonly scope: Scope
  readonly directory: string
  /** Returns the path of a file in the directory. */
  path(name: string): string
  /**
   * Issues a certificate for `localhost`, 127.0.0.1 and NAME.test into NAME.pem and NAME-key.pem.
   */
  issue(name: string, revocationUrl?: string): Promise<CertificateRecord>
  revoke(record: CertificateRecord, reason?: RevocationReason): Promise<void>
  /**
   * Writes the CRL of a scope to crl.pem, that of its root to root-crl.pem, and both to crls.pem;
   * default: of the scope `local`.
   */
  writeCrls(now?: Date, scopeName?: string): Promise<void>
}

/**
 * Makes an authority. Its directory holds root.pem, intermediate.pem, and both of them as cas.pem;
 * of a hardened one, root-openssl.pem too.
 */
export async function makeWorld({ hardened = false } = {}): Promise<World> {
  const state = await temporaryState()
  const directory = await temporaryDirectory()
  const { scope } = await ensureAuthority(state, new Date(), hardened)
  const path = (name: string): string => join(directory, name)
  await writeFile(path('root.pem'), scope.root.toString())
  if (hardened) await writeFile(path('root-openssl.pem'), rootForOpenssl(scope).pem)
  await writeFile(path('intermediate.pem'), scope.intermediate.toString())
  await writeFile(path('cas.pem'), scope.intermediate.toString() + scope.root.toString())
  return {
    state,
    scope,
    directory,
    path,
    async issue(name, revocationUrl) {
      const files = { certPath: path(`${name}.pem`), keyPath: path(`${name}-key.pem`) }
      const names = ['localhost', '127.0.0.1', `${name}.test`]
      return (await issue(state, { names, files, revocationUrl }, new Date())).record
    },
    async revoke({ serialNumber }, reason) {
      await revoke(fileStorage(state), { target: serialNumber, reason, now: new Date() })
    },
    async writeCrls(now = new Date(), scopeName = 'local') {
      const crl = encodePem('X509 CRL', await makeCrl(fileStorage(state), scopeName, now))
      const root = encodePem('X509 CRL', await readRootCrl(fileStorage(state), scopeName))
      await writeFile(path('crl.pem'), crl)
      await writeFile(path('root-crl.pem'), root)
      await writeFile(path('crls.pem'), crl + root)
    },
  }
}

/** Runs openssl and returns everything that it printed. */
export async function openssl(...args: string[]): Promise<string> {
  const { stdout, stderr } = await runTool('openssl', args)
  return stdout + stderr
}

export const contentsOf = (world: World, name: string): Promise<Buffer> =>
  readFile(world.path(`${name}.pem`))
