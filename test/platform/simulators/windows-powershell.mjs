#!/usr/bin/env node
// Simulates powershell.exe of Windows as far as rootling's own scripts go: a statement that is none of
// them is an error. Sources: Microsoft's about_PowerShell_exe (-Command, and exit code 1 for an error
// that ends it), .NET's X509Certificate2Collection.Import and X509Store, about_Quoting_Rules, and the
// certificate provider's Remove-Item -DeleteKey; a wrong password is CryptographicException;
// MSFT_NetTCPConnection's State, and Win32_Process' GetOwnerSid; Start-Process (-Verb RunAs opens the
// dialog of User Account Control and throws when it is declined, -PassThru with -Wait has ExitCode),
// -EncodedCommand (base64 of UTF-16), and .NET's File.Replace, which keeps the access list.
import { X509Certificate } from 'node:crypto'
import { existsSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { fail, hash, machine, openPkcs12, readState, writeState } from './support.mjs'
import { processOfLinux, socketsOfLinux } from './sockets.mjs'

const state = readState('windows', {
  /** Certificates of the user with their keys, base64, each with its friendly name. */
  my: [],
  ca: [],
  /** Before Windows 10 1709 the modern form of PKCS #12 is not understood. */
  legacyOnly: false,
  /** Whether the dialog of User Account Control is answered with Yes. */
  elevates: true,
  /** The uid of this Linux that stands for the user, and the one that stands for Windows itself. */
  uid: process.getuid(),
  system: null,
})

const [profile, interactive, command, script, ...rest] = process.argv.slice(2)
if (profile !== '-NoProfile' || interactive !== '-NonInteractive' || command !== '-Command')
  fail(1, 'PowerShell asks for what nobody can answer here.')
// A double quote would have to survive the command line of Windows.
if (rest.length > 0 || script.includes('"')) fail(1, 'ParserError: UnexpectedToken')

const literal = String.raw`'((?:[^'‘’‚‛]|['‘’‚‛]{2})*)'`
const store = (variable, name, flags) =>
  `\\${variable} = \\[Security\\.Cryptography\\.X509Certificates\\.X509Store\\]::new\\(${name}, 'CurrentUser'\\); \\${variable}\\.Open\\('${flags}'\\)`
const start = String.raw`^\$ErrorActionPreference = 'Stop'; `
function plain(text) {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`)
}
const scripts = [
  [
    `${start}${store('$my', `'My'`, 'ReadOnly')}; ${String.raw`foreach \(\$one in \$my\.Certificates\) \{ if \(\$one\.HasPrivateKey -and \$one\.Thumbprint -eq '([0-9A-F]{40})'\) \{ 'present' \} \}`}$`,
    (thumbprint) => {
      if (state.my.some((each) => thumbprintOf(each.der) === thumbprint)) console.log('present')
    },
  ],
  [
    `${start}${String.raw`\$bytes = \[Convert\]::FromBase64String\(\[Console\]::In\.ReadLine\(\)\); \$all = \[Security\.Cryptography\.X509Certificates\.X509Certificate2Collection\]::new\(\); \$all\.Import\(`}${literal}${String.raw`, \[Text\.Encoding\]::UTF8\.GetString\(\$bytes\), 'UserKeySet, PersistKeySet'\); foreach \(\$one in \$all\) \{ if \(\$one\.HasPrivateKey\) \{ \$name = 'My'(?:; \$one\.FriendlyName = `}${literal}${String.raw`)? \} elseif \(\$one\.Subject -ne \$one\.Issuer\) \{ \$name = 'CA' \} else \{ continue \}; `}${store('$store', String.raw`\$name`, 'ReadWrite')}${String.raw`; \$store\.Add\(\$one\) \}`}$`,
    importAll,
  ],
  [
    `${start}${String.raw`\$env:PSModulePath = \$PSHOME \+ '\\Modules'; Remove-Item -LiteralPath 'Cert:\\CurrentUser\\My\\([0-9A-F]{40})' -DeleteKey; `}${store('$my', `'My'`, 'ReadOnly')}; ${store('$ca', `'CA'`, 'ReadWrite')}; ${String.raw`foreach \(\$one in \$ca\.Certificates\) \{ if \(@\(((?:'[0-9A-F]{40}'(?:, )?)*)\) -contains \$one\.Thumbprint -and @\(\$my\.Certificates \| Where-Object Issuer -eq \$one\.Subject\)\.Count -eq 0\) \{ \$ca\.Remove\(\$one\) \} \}`}$`,
    remove,
  ],
  [
    `${start}${String.raw`\$env:PSModulePath = \$PSHOME \+ '\\Modules'; \[Security\.Principal\.WindowsIdentity\]::GetCurrent\(\)\.User\.Value; foreach \(\$one in @\(Get-NetTCPConnection -LocalPort (\d+)(?: -RemotePort (\d+))? -ErrorAction SilentlyContinue\)\) \{ \$sid = ''; if \(\$one\.OwningProcess -eq 4\) \{ \$sid = 'S-1-5-18' \} else \{ \$made = Get-CimInstance Win32_Process -Filter \('ProcessId=' \+ \$one\.OwningProcess\); \$known = \$one\.CreationTime\.Year -gt 1601; if \(\$made -and -not \(\$known -and \$made\.CreationDate -gt \$one\.CreationTime\)\) \{ \$sid = \(Invoke-CimMethod \$made -MethodName GetOwnerSid\)\.Sid \} \}; \$one\.LocalAddress \+ ' ' \+ \$one\.RemoteAddress \+ ' ' \+ \[int\]\$one\.State \+ ' ' \+ \$sid \}`}$`,
    listSockets,
  ],
  [
    `${start}${plain(String.raw`$env:PSModulePath = $PSHOME + '\Modules'; foreach ($one in @(Get-NetTCPConnection -LocalPort `)}(\\d+)${plain(String.raw` -State Listen -ErrorAction SilentlyContinue)) { $one.LocalAddress + ' ' + $one.OwningProcess + ' ' + (Get-Process -Id $one.OwningProcess -ErrorAction SilentlyContinue).ProcessName }`)}$`,
    listListeners,
  ],
  [
    `${start}${plain(String.raw`$env:PSModulePath = $PSHOME + '\Modules'; $new = [IO.Path]::GetTempFileName(); [IO.File]::WriteAllBytes($new, [Convert]::FromBase64String([Console]::In.ReadToEnd())); $script = '$new = ''' + $new.Replace('''', '''''') + '''; $file = `)}((?:[^']|'')*)${plain(`; ' + `)}${literal}${plain(String.raw`; $code = [Convert]::ToBase64String([Text.Encoding]::Unicode.GetBytes($script)); try { $done = Start-Process -FilePath ($PSHOME + '\powershell.exe') -Verb RunAs -WindowStyle Hidden -Wait -PassThru -ArgumentList '-NoProfile', '-NonInteractive', '-EncodedCommand', $code } catch { exit 5 } finally { Remove-Item -LiteralPath $new -ErrorAction SilentlyContinue }; exit $done.ExitCode`)}$`,
    elevate,
  ],
]
/** MSFT_NetTCPConnection's numbers of Linux's states. */
const stateNumbers = { '01': 5, '06': 11, '08': 8, '0A': 2 }
const known = scripts.flatMap(([pattern, run]) => {
  const match = new RegExp(pattern).exec(script)
  return match === null ? [] : [() => run(...match.slice(1))]
})
if (known.length !== 1) fail(1, 'ParserError: a statement that is not known here')
known[0]()
writeState('windows', state)

function importAll(path, friendlyName) {
  const file = textOf(path)
  const password = Buffer.from(readFileSync(0, 'utf8').split('\r\n')[0], 'base64').toString('utf8')
  const found = existsSync(file) ? openPkcs12(file, password) : null
  if (found === null || (state.legacyOnly && found.modern))
    fail(
      1,
      'Exception calling "Import" with "3" argument(s): "The specified network password is not correct.',
    )
  const [own, ...others] = found.certificates
  const der = own.raw.toString('base64')
  if (!state.my.some((each) => each.der === der))
    state.my.push({ der, friendlyName: friendlyName === undefined ? '' : textOf(friendlyName) })
  for (const { raw, subject, issuer } of others) {
    const base64 = raw.toString('base64')
    if (subject !== issuer && !state.ca.includes(base64)) state.ca.push(base64)
  }
}

/** What the other PowerShell does, which has the rights. */
function elevate(target, quotedInner) {
  if (!state.elevates) fail(5)
  const bytes = Buffer.from(readFileSync(0, 'latin1'), 'base64')
  const [, name] = /^'(.*)'$/.exec(textOf(target)) ?? fail(1, 'ParserError: no path')
  const drive = /^([A-Z]):\\(.*)$/.exec(name) ?? fail(1, 'IOException: not a full path')
  const file = path.join(machine, 'mnt', drive[1].toLowerCase(), drive[2].replaceAll('\\', '/'))
  const sum = String.raw`[Convert]::ToBase64String($sha.ComputeHash(`
  const inner = new RegExp(
    `${start}${plain(String.raw`$sha = [Security.Cryptography.SHA256]::Create(); $bytes = [IO.File]::ReadAllBytes($new); if (${sum}$bytes)) -ne `)}'([\\w+/=]{44})'${plain(String.raw`) { exit 3 }; if (${sum}[IO.File]::ReadAllBytes($file))) -ne `)}'([\\w+/=]{44})'${plain(String.raw`) { exit 3 }; [IO.File]::WriteAllBytes($file + '.rootling', $bytes); [IO.File]::Replace($file + '.rootling', $file, [NullString]::Value)`)}$`,
  ).exec(textOf(quotedInner))
  if (inner === null) fail(1, 'ParserError: a script that is not known here')
  const base64 = (each) => Buffer.from(hash('sha256', each), 'hex').toString('base64')
  if (base64(bytes) !== inner[1] || base64(readFileSync(file)) !== inner[2]) fail(3)
  writeFileSync(file, bytes)
}

/** Over this machine's own sockets; whoever is no administrator is told no SID of other users. */
function listSockets(localPort, remotePort) {
  const sidOf = (uid) => `S-1-5-21-1004336348-1177238915-682003330-${uid}`
  console.log(sidOf(state.uid))
  for (const { local, remote, state: name, process } of socketsOfLinux()) {
    if (local.port !== Number(localPort)) continue
    if (remotePort !== undefined && remote.port !== Number(remotePort)) continue
    const uid = processOfLinux(process)?.uid
    const sid = state.system === uid ? 'S-1-5-18' : uid === state.uid ? sidOf(uid) : ''
    console.log(`${local.address} ${remote.address} ${stateNumbers[name] ?? 7} ${sid}`)
  }
}

/** The kernel is process 4, named System; other processes have the names of their programs. */
function listListeners(port) {
  for (const { local, state: name, process } of socketsOfLinux()) {
    if (local.port !== Number(port) || name !== '0A') continue
    const isSystem = state.system === processOfLinux(process)?.uid
    const program = path.basename(readlinkSync(`/proc/${process}/exe`))
    console.log(`${local.address} ${isSystem ? '4 System' : `${process} ${program}`}`)
  }
}

function remove(thumbprint, list) {
  const left = state.my.filter((each) => thumbprintOf(each.der) !== thumbprint)
  if (left.length === state.my.length)
    fail(
      1,
      `Remove-Item : Cannot find path 'Cert:\\CurrentUser\\My\\${thumbprint}' because it does not exist.`,
    )
  state.my = left
  const issuers = new Set(left.map(({ der }) => read(der).issuer))
  state.ca = state.ca.filter(
    (base64) => !list.includes(thumbprintOf(base64)) || issuers.has(read(base64).subject),
  )
}

function read(base64) {
  return new X509Certificate(Buffer.from(base64, 'base64'))
}

function thumbprintOf(base64) {
  return hash('sha1', Buffer.from(base64, 'base64')).toUpperCase()
}

function textOf(quoted) {
  return quoted.replaceAll(/(['‘’‚‛])['‘’‚‛]/g, '$1')
}
