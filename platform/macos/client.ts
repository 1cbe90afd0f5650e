import { X509Certificate } from 'node:crypto'
import path from 'node:path'
import { RootlingError } from '../../src/errors.ts'
import { sha1, type ClientCertificateStore, type HeldIdentity } from '../client-store.ts'
import { expectSuccess, timeLimits } from '../command.ts'
import type { Machine } from '../machine.ts'
import { noSuchKeychain, security } from './keychain.ts'
import { certificatesIn } from '../pem.ts'
import { unsupported } from '../trust-store.ts'

/**
 * The longest line that `security -i` reads, in bytes: MAX_LINE_LEN of SecurityTool's security.c,
 * without the terminating byte.
 */
const longestLine = 4095

/**
 * The person's certificates in the login keychain, through `security`. Every user can read the
 * arguments of a program, so the password is passed in a line on the standard input of `security
 * -i`.
 */
export function createMacosClientStore(machine: Machine): ClientCertificateStore<HeldIdentity> {
  const keychain = path.posix.join(machine.person.home, 'Library/Keychains/login.keychain-db')
  const options = { as: 'person', timeLimit: timeLimits.dialog } as const

  const find = (...args: string[]) => machine.query(security, [...args, keychain])

  const store: ClientCertificateStore<HeldIdentity> = {
    id: `system:${keychain}`,
    kind: 'system',
    title: 'macOS login keychain',

    async availability() {
      if ((await machine.find(security)) === null)
        return unsupported(`${security} is not on this machine.`)
      if ((await find('find-certificate', '-a')).exitCode === noSuchKeychain)
        return unsupported(`There is no keychain ${keychain}.`, 'Log in at the desktop once')
      return { available: true }
    },

    async has({ certificates: [own] }) {
      const { stdout } = expectSuccess('security', await find('find-identity'))
      return [...stdout.matchAll(/^[ \t]*\d+\) ([0-9A-F]{40}) /gm)].some(
        ([, hash]) => hash === sha1(own),
      )
    },

    async install({ file, password, shown }, identity) {
      if (await store.has(identity)) return
      const target = ['-k', keychain, '-f', 'pkcs12']
      if (machine.dryRun) {
        // A dry run shows what a person would type: macOS then asks for the password.
        await machine.change(security, ['import', shown, ...target], options)
        return
      }
      const secret = lineOf(['import', file, ...target, '-P', password])
      const result = await machine.change(security, ['-i'], { ...options, secret })
      if (result.exitCode === 0) return
      const said = result.stderr.trim().split('\n')[0]?.slice(0, 300) ?? ''
      throw new RootlingError('store-failed', `The login keychain did not take ${shown}: ${said}`, {
        hint: 'security unlock-keychain; before macOS 15: rootling issue --pkcs12 --legacy-pkcs12',
      })
    },

    async remove(identity) {
      if (!(await store.has(identity))) return
      const [own, ...issuers] = identity.certificates
      const remove = ['delete-identity', '-Z', sha1(own), keychain]
      expectSuccess('security', await machine.change(security, remove, options))
      if (machine.dryRun) return
      for (const issuer of issuers) {
        const { stdout } = expectSuccess('security', await find('find-certificate', '-a', '-p'))
        if (!isLeftOver(issuer, certificatesIn(stdout))) continue
        const args = ['delete-certificate', '-Z', sha1(issuer), keychain]
        expectSuccess('security', await machine.change(security, args, options))
      }
    },
  }
  return store
}

/**
 * Whether an issuer should be removed: it is in the keychain, and no certificate there was issued
 * by it. A root issued itself, so it stays, since other trust may depend on it.
 */
function isLeftOver(issuer: Buffer, held: readonly Buffer[]): boolean {
  if (!held.some((der) => der.equals(issuer))) return false
  const { subject } = new X509Certificate(issuer)
  return held.every((der) => new X509Certificate(der).issuer !== subject)
}

/**
 * Returns a command as a line for `security -i`, whose split_line function takes a backslash before
 * any character, also in quotes. Throws `usage` for a line that is too long, and for a password
 * that is not ASCII, which `import` cannot decode.
 */
function lineOf(words: readonly string[]): string {
  const line = words.map((word) => `"${word.replaceAll(/["\\]/g, String.raw`\$&`)}"`).join(' ')
  if (!/^[\x20-\x7e]*$/.test(words.at(-1) ?? ''))
    throw new RootlingError('usage', 'macOS takes only passwords of ASCII characters here.', {
      hint: 'Open the .p12 file, and the keychain asks for its password',
    })
  if (/[\n\r\0]/.test(line) || Buffer.byteLength(line) >= longestLine)
    throw new RootlingError('usage', 'The path of the file does not fit into a command of macOS.', {
      hint: 'Move it to a directory with a short name',
    })
  return `${line}\n`
}
