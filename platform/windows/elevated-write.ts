import { createHash } from 'node:crypto'
import { RootlingError } from '../../src/errors.ts'
import { timeLimits } from '../command.ts'
import type { Machine } from '../machine.ts'

/**
 * How the script ends, beside 0 and PowerShell's own 1: the file or the copy changed meanwhile, or
 * the dialog was answered with no.
 */
const exits = { changed: 3, declined: 5 } as const

/**
 * Replaces a file of Windows that only an administrator can change, given its path there. Windows
 * PowerShell asks for the rights by the dialog of User Account Control. The access list of the file
 * stays, and nobody reads half of it. Nothing is changed when the file no longer holds `old`. Throws
 * `cancelled`, `tool-timeout` or `tool-failed`.
 */
export async function writeElevated(
  machine: Machine,
  powershell: string,
  {
    file,
    contents,
    old,
  }: { readonly file: string; readonly contents: Buffer; readonly old: Buffer },
): Promise<void> {
  machine.announce(
    `Windows opens a dialog that asks whether Windows PowerShell may change ${file}.`,
  )
  const args = ['-NoProfile', '-NonInteractive', '-Command', scriptFor(file, contents, old)]
  const result = await machine.change(powershell, args, {
    as: 'person',
    input: contents.toString('base64'),
    name: `Changing ${file}`,
    timeLimit: timeLimits.dialog,
  })
  if (result.exitCode === 0) return
  if (result.exitCode === exits.declined)
    throw new RootlingError(
      'cancelled',
      'Windows asked for the rights, and the answer was not Yes.',
    )
  if (result.exitCode === exits.changed)
    throw new RootlingError('tool-failed', 'Another program changed the file at the same moment.', {
      hint: 'Try again',
    })
  const said = result.stderr.trim().split('\n')[0]?.trim().slice(0, 300) ?? ''
  throw new RootlingError('tool-failed', `Windows PowerShell could not change it: ${said}`)
}

/**
 * Returns the script. It has no double quotes, which would have to survive the command line of
 * Windows. The contents come on standard input and go through a file that the other PowerShell, which
 * has the rights, checks by its hash. That one is given its script in base64.
 */
function scriptFor(file: string, contents: Buffer, old: Buffer): string {
  const inner = [
    `$ErrorActionPreference = 'Stop'`,
    `$sha = [Security.Cryptography.SHA256]::Create()`,
    `$bytes = [IO.File]::ReadAllBytes($new)`,
    `if ([Convert]::ToBase64String($sha.ComputeHash($bytes)) -ne '${hash(contents)}') { exit ${exits.changed} }`,
    `if ([Convert]::ToBase64String($sha.ComputeHash([IO.File]::ReadAllBytes($file))) -ne '${hash(old)}') { exit ${exits.changed} }`,
    `[IO.File]::WriteAllBytes($file + '.rootling', $bytes)`,
    // PowerShell would make an empty text of $null, which is no path.
    `[IO.File]::Replace($file + '.rootling', $file, [NullString]::Value)`,
  ].join('; ')
  return [
    `$ErrorActionPreference = 'Stop'`,
    // When started from PowerShell 7, Windows PowerShell inherits a path of modules that it cannot
    // load.
    String.raw`$env:PSModulePath = $PSHOME + '\Modules'`,
    `$new = [IO.Path]::GetTempFileName()`,
    `[IO.File]::WriteAllBytes($new, [Convert]::FromBase64String([Console]::In.ReadToEnd()))`,
    `$script = '$new = ''' + $new.Replace('''', '''''') + '''; $file = ${quotedTwice(file)}; ' + ${quoted(inner)}`,
    `$code = [Convert]::ToBase64String([Text.Encoding]::Unicode.GetBytes($script))`,
    `try { $done = Start-Process -FilePath ($PSHOME + '\\powershell.exe') -Verb RunAs -WindowStyle Hidden -Wait -PassThru -ArgumentList '-NoProfile', '-NonInteractive', '-EncodedCommand', $code } catch { exit ${exits.declined} } finally { Remove-Item -LiteralPath $new -ErrorAction SilentlyContinue }`,
    `exit $done.ExitCode`,
  ].join('; ')
}

const hash = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('base64')
const quoted = (text: string): string => `'${text.replaceAll("'", "''")}'`
/** Quotes a text within a text that is in quotes itself. */
const quotedTwice = (text: string): string => quoted(quoted(text)).slice(1, -1)
