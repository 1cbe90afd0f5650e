import { RootlingError } from '../../src/errors.ts'
import { sha1, type ClientCertificateStore, type HeldIdentity } from '../client-store.ts'
import { expectSuccess } from '../command.ts'
import type { Machine } from '../machine.ts'
import { unsupported } from '../trust-store.ts'
import { systemProgram } from './system-program.ts'

const x509 = 'Security.Cryptography.X509Certificates'

/**
 * The person's certificates in Windows' own store, through Windows PowerShell. certutil and
 * Import-PfxCertificate would take the password as an argument or from a script, so a script
 * imports the file itself and reads the password, in base64, from standard input.
 */
export function createWindowsClientStore(machine: Machine): ClientCertificateStore<HeldIdentity> {
  const powershell = systemProgram(String.raw`WindowsPowerShell\v1.0\powershell.exe`, machine.env)

  const argsOf = (...statements: string[]) => {
    const script = [`$ErrorActionPreference = 'Stop'`, ...statements].join('; ')
    return ['-NoProfile', '-NonInteractive', '-Command', script]
  }

  const store: ClientCertificateStore<HeldIdentity> = {
    id: 'system:windows-my',
    kind: 'system',
    title: 'Windows certificates of the user',

    async availability() {
      if ((await machine.find(powershell)) !== null) return { available: true }
      return unsupported(`${powershell} is not there.`)
    },

    async has({ certificates: [own] }) {
      const args = argsOf(
        open('$my', `'My'`, 'ReadOnly'),
        `foreach ($one in $my.Certificates) { ` +
          `if ($one.HasPrivateKey -and $one.Thumbprint -eq '${sha1(own)}') { 'present' } }`,
      )
      return expectSuccess('powershell', await machine.query(powershell, args)).stdout.includes(
        'present',
      )
    },

    async install({ file, password, shown }, identity, nickname) {
      if (await store.has(identity)) return
      if (machine.dryRun) {
        // A dry run shows what a person would type: certutil then asks for the password.
        const certutil = systemProgram('certutil.exe', machine.env)
        await machine.change(certutil, ['-user', '-importpfx', shown], { as: 'person' })
        return
      }
      const named = nickname === undefined ? '' : `; $one.FriendlyName = ${quoted(nickname)}`
      const args = argsOf(
        `$bytes = [Convert]::FromBase64String([Console]::In.ReadLine())`,
        `$all = [${x509}.X509Certificate2Collection]::new()`,
        `$all.Import(${quoted(file)}, ` +
          `[Text.Encoding]::UTF8.GetString($bytes), 'UserKeySet, PersistKeySet')`,
        `foreach ($one in $all) { if ($one.HasPrivateKey) { $name = 'My'${named} } ` +
          `elseif ($one.Subject -ne $one.Issuer) { $name = 'CA' } else { continue }; ` +
          `${open('$store', '$name', 'ReadWrite')}; $store.Add($one) }`,
      )
      const secret = `${Buffer.from(password, 'utf8').toString('base64')}\r\n`
      const result = await machine.change(powershell, args, { as: 'person', secret })
      if (result.exitCode === 0) return
      const said = result.stderr.trim().split('\n')[0]?.trim().slice(0, 300) ?? ''
      throw new RootlingError('store-failed', `Windows did not take ${shown}: ${said}`, {
        hint: 'Before Windows 10 1709: rootling issue --pkcs12 --legacy-pkcs12',
      })
    },

    async remove(identity) {
      if (!(await store.has(identity))) return
      const [own, ...issuers] = identity.certificates
      const hashes = issuers.map((der) => `'${sha1(der)}'`).join(', ')
      const args = argsOf(
        // When started from PowerShell 7, Windows PowerShell inherits a path of modules that it
        // cannot load.
        String.raw`$env:PSModulePath = $PSHOME + '\Modules'`,
        `Remove-Item -LiteralPath 'Cert:\\CurrentUser\\My\\${sha1(own)}' -DeleteKey`,
        open('$my', `'My'`, 'ReadOnly'),
        open('$ca', `'CA'`, 'ReadWrite'),
        `foreach ($one in $ca.Certificates) { if (@(${hashes}) -contains $one.Thumbprint -and ` +
          `@($my.Certificates | Where-Object Issuer -eq $one.Subject).Count -eq 0) ` +
          `{ $ca.Remove($one) } }`,
      )
      expectSuccess('powershell', await machine.change(powershell, args, { as: 'person' }))
    },
  }
  return store
}

const open = (variable: string, name: string, flags: 'ReadOnly' | 'ReadWrite'): string =>
  `${variable} = [${x509}.X509Store]::new(${name}, 'CurrentUser'); ${variable}.Open('${flags}')`

/** Returns a string literal of PowerShell, in which typographic quotes count as quotes too. */
const quoted = (text: string): string => `'${text.replaceAll(/['‘’‚‛]/g, '$&$&')}'`
