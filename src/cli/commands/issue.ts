import { resolve } from 'node:path'
import { issue, type IssueRequest } from '../../certificates/issue.ts'
import { clientSubject } from '../../certificates/names.ts'
import { ownPasswordFile, type OutputPaths } from '../../certificates/output-files.ts'
import { RootlingError } from '../../errors.ts'
import { shellWord } from '../../shell-word.ts'
import { commonNameText, parseSubject } from '../../x509/subject.ts'
import { scopeNames } from '../../storage/files/scopes.ts'
import { longestHookSeconds, type CertificateRecord } from '../../storage/records.ts'
import { exitCodes, type ArgumentsOf, type ExitCode } from '../command.ts'
import type { Context } from '../context.ts'
import { describeRecord } from '../../certificates/describe-record.ts'
import { describeHolder, untilText } from '../describe.ts'
import { noteCreated, warnOfDistrust } from '../first-use.ts'
import { linesOf } from '../lines.ts'
import { readFirstLine, staysReadable } from '../read-input.ts'
import { readInputBytes } from '../../files/read-input.ts'
import type { Output } from '../output.ts'
import type { issueSpec } from '../specs/certificates.ts'

type Arguments = ArgumentsOf<typeof issueSpec>

/** `rootling issue NAME…` and `rootling NAME…`: issues a certificate. */
export async function issueCommand(args: Arguments, context: Context): Promise<ExitCode> {
  const { state, output, now, cwd } = context
  refuseContradictions(args)
  const password = await readPassword(args, context)
  const request: IssueRequest = clientSubject({
    names: args.positionals,
    scope: args.scope,
    subject: subjectOf(args),
    purpose: args.client === true ? 'client' : 'server',
    keyType: args['key-type'],
    days: args.days,
    files:
      args.stdout === true
        ? null
        : { ...outputPaths(args, cwd), ...keptWhere(args, cwd, password) },
    rights: null,
    force: args.force,
    csr: args.csr === undefined ? undefined : await readInputBytes(resolve(cwd, args.csr)),
    // A mistyped name of another authority makes none.
    createAuthority: state.authority === undefined,
    selfSigned: args['self-signed'],
    keyPassphrase: args['encrypt-key'] === true ? password : undefined,
    ...(await keyAccess(args, context)),
    pkcs12: wantsPkcs12(args)
      ? { password: password ?? '', legacy: args['legacy-pkcs12'] === true }
      : undefined,
    onRenew: args['on-renew'],
    onRenewSeconds: args['hook-timeout'],
    revocationUrl: args['no-revocation-url'] === true ? false : args['revocation-url'],
  })
  const isFirst = (await scopeNames(state)).length === 0
  const issued =
    args['if-needed'] === true
      ? await (await import('../../certificates/if-needed.ts')).issueIfNeeded(state, request, now())
      : await issue(state, request, now())
  if ('kept' in issued) return reportKept(issued.kept, context)
  const { record, chain, key, warnings, replaced, before } = issued
  for (const warning of warnings) output.warn(warning)
  if (args['self-signed'] === true)
    output.warn(
      'A self-signed certificate is trusted by nobody but clients that are configured to trust it.',
    )
  if (isFirst && args['self-signed'] !== true) noteCreated(context)
  await warnOfDistrust(record.scope, context)
  const certificate = describeRecord(record)
  if (args.stdout === true) {
    output.result(linesOf((chain + (key ?? '')).trimEnd()), {
      certificate: { ...certificate, cert: chain, key },
    })
    return exitCodes.ok
  }
  const isSame = replaced && before?.losesNames !== true
  const done = isSame ? 'Replaced the certificate for' : 'Issued for'
  output.note(
    `${done} ${describeHolder(record)}, good until ${untilText(new Date(record.notAfter), now())}.`,
  )
  if (before !== null) (await import('../replaced.ts')).warnOfReplaced(args, before, output)
  if (record.purpose === 'server') await noteHosts(record, context)
  const made =
    wantsPkcs12(args) && args.password === undefined && args['password-file'] === undefined
  const secret = made ? { password } : {}
  output.result(describeFiles(record, made ? password : undefined, output), {
    certificate,
    ...secret,
    issued: true,
    replaced,
  })
  return exitCodes.ok
}

/** Tells of names that this machine does not find; loaded only where a name may be one. */
async function noteHosts({ identifiers }: CertificateRecord, { env, output }: Context) {
  const names = identifiers.map(({ value }) => value)
  if (!names.some((name) => /\.(?:test|example|invalid)$/.test(name))) return
  const { noteUnresolved } = await import('../hosts-file.ts')
  noteUnresolved(names, env, output)
}

/** Prints the certificate that `--if-needed` found good. */
function reportKept(record: CertificateRecord, { output, now }: Context): ExitCode {
  const until = untilText(new Date(record.notAfter), now())
  output.note(`Kept the certificate for ${describeHolder(record)}, good until ${until}.`)
  output.result(describeFiles(record, undefined, output), {
    certificate: describeRecord(record),
    issued: false,
    replaced: false,
  })
  return exitCodes.ok
}

/** The mode and the group of the files that hold the key. A group is given to read them. */
async function keyAccess(
  { 'key-mode': mode, group }: Arguments,
  { state }: Context,
): Promise<Pick<IssueRequest, 'keyMode' | 'keyOwner'>> {
  if (process.platform === 'win32' && (mode ?? group) !== undefined)
    throw new RootlingError('unsupported', 'Windows has no modes and groups of files.', {
      hint: 'Leave out --key-mode and --group; give access with icacls',
    })
  if (group === undefined) return { keyMode: mode }
  const { groupNumber } = await import('../group.ts')
  const gid = await groupNumber(group)
  const uid = state.owner?.uid ?? process.geteuid?.() ?? -1
  return { keyMode: mode ?? '0640', keyOwner: { uid, gid } }
}

function refuseContradictions(args: Arguments): void {
  const files = ['cert-file', 'key-file', 'out-dir', 'p12-file', 'chain-file'] as const
  const formats = ['pkcs12', 'der', 'full', 'encrypt-key'] as const
  const named = [...files, ...formats].find((name) => args[name] !== undefined)
  if (args.stdout === true && named !== undefined)
    throw new RootlingError(
      'usage',
      `--stdout writes no files, so it does not go with --${named}.`,
      {
        hint: `Leave out --stdout or --${named}`,
      },
    )
  const withoutKey = ['key-file', 'key-type', 'pkcs12', 'full', 'encrypt-key', 'p12-file'] as const
  const keyed = withoutKey.find((name) => args[name] !== undefined)
  if (args.csr !== undefined && keyed !== undefined)
    throw new RootlingError(
      'usage',
      `With --csr the key is not here, so --${keyed} means nothing.`,
      {
        hint: `Leave out --${keyed}`,
      },
    )
  if (args['on-renew']?.trim() === '')
    throw new RootlingError('usage', '--on-renew needs a command; it was given an empty one.', {
      hint: `For example --on-renew ${shellWord('systemctl reload nginx')}`,
    })
  const seconds = args['hook-timeout']
  if (seconds !== undefined && args['on-renew'] === undefined)
    throw new RootlingError('usage', '--hook-timeout is for --on-renew, which was not given.', {
      hint: 'Add --on-renew COMMAND, or leave out --hook-timeout',
    })
  if (
    seconds !== undefined &&
    !(Number.isInteger(seconds) && seconds >= 1 && seconds <= longestHookSeconds)
  )
    throw new RootlingError(
      'usage',
      `--hook-timeout ${seconds} is not a number of seconds from 1 to ${longestHookSeconds}.`,
      { hint: 'For example --hook-timeout 300' },
    )
  if (args['self-signed'] === true && args['revocation-url'] !== undefined)
    throw new RootlingError('usage', 'A self-signed certificate has no issuer to revoke it.', {
      hint: 'Leave out --revocation-url',
    })
  if (args['no-revocation-url'] === true && args['revocation-url'] !== undefined)
    throw new RootlingError(
      'usage',
      '--revocation-url and --no-revocation-url exclude each other.',
      {
        hint: 'Leave out --revocation-url or --no-revocation-url',
      },
    )
  if (args.cn !== undefined && args.subject !== undefined)
    throw new RootlingError('usage', '--subject holds the common name, so --cn means nothing.', {
      hint: 'Leave out --cn or --subject',
    })
  const issuer = (['cn', 'subject', 'scope'] as const).find((name) => args[name] !== undefined)
  if (args['self-signed'] === true && issuer !== undefined)
    throw new RootlingError('usage', `A self-signed certificate has no --${issuer}.`, {
      hint: `Leave out --${issuer}`,
    })
  if (args.client === true && args['self-signed'] === true)
    throw new RootlingError('usage', 'No server trusts a self-signed client certificate.', {
      hint: 'Leave out --self-signed',
    })
}

function subjectOf({ cn, subject }: Arguments): string | undefined {
  const text = cn === undefined ? subject : commonNameText(cn)
  if (text !== undefined) parseSubject(text)
  return text
}

const wantsPkcs12 = (args: Arguments): boolean =>
  args.pkcs12 === true || args['p12-file'] !== undefined || args['legacy-pkcs12'] === true

function outputPaths(args: Arguments, cwd: string): OutputPaths {
  const at = (path: string | undefined): string | undefined =>
    path === undefined ? undefined : resolve(cwd, path)
  return {
    outDir: resolve(cwd, args['out-dir'] ?? '.'),
    certPath: at(args['cert-file']),
    keyPath: at(args['key-file']),
    extra: {
      ...(args['chain-file'] === undefined ? {} : { chain: resolve(cwd, args['chain-file']) }),
      ...(args.der === true ? { der: true as const } : {}),
      ...(args.full === true ? { full: true as const } : {}),
      ...(wantsPkcs12(args) ? { pkcs12: at(args['p12-file']) ?? (true as const) } : {}),
    },
  }
}

/**
 * Where a renewal finds the password of the .p12: in the user's file or in a file beside it. One
 * from a pipe is kept nowhere, and the renewal must be given it again. A
 * password that also encrypts the key is not written beside that key, and one with a line break
 * does not fit into a first line.
 */
function keptWhere(
  args: Arguments,
  cwd: string,
  password: string | undefined,
): Pick<OutputPaths, 'passwordFile'> {
  const file = args['password-file']
  if (file !== undefined)
    return staysReadable(file, cwd) ? { passwordFile: resolve(cwd, file) } : {}
  if (args['encrypt-key'] === true || /[\r\n]/.test(password ?? '')) return {}
  return { passwordFile: true }
}

/**
 * Reads the password from the file, the option or the terminal. For PKCS #12 without --encrypt-key,
 * makes a random one instead of asking. `undefined`: no password is needed.
 */
async function readPassword(args: Arguments, context: Context): Promise<string | undefined> {
  if (!wantsPkcs12(args) && args['encrypt-key'] !== true) return undefined
  if (args['password-file'] !== undefined) {
    const line = await readFirstLine(args['password-file'], context.cwd)
    if (line !== '') return line
    throw new RootlingError('usage', `${args['password-file']} is empty.`, {
      hint: 'Its first line is the password',
    })
  }
  if (args.password !== undefined) return args.password
  if (args['encrypt-key'] !== true) return (await import('../../x509/pkcs12.ts')).randomPassword()
  if (context.interactive) return (await import('../ask.ts')).askSecret('Passphrase for the key: ')
  throw new RootlingError('usage', '--encrypt-key needs a passphrase, and nobody can be asked.', {
    hint: '--password-file FILE',
  })
}

function describeFiles(
  record: CertificateRecord,
  password: string | undefined,
  output: Output,
): string[] {
  const { certPath, keyPath, extra = [] } = record
  const titles = { chain: 'Chain', der: 'DER', full: 'Full', pkcs12: 'PKCS #12' } as const
  const rows: [string, string][] =
    certPath === keyPath
      ? [['Certificate and key', output.path(certPath ?? '')]]
      : [
          ['Certificate', output.path(certPath ?? '')],
          ...(keyPath === null ? [] : [['Key', output.path(keyPath)] as [string, string]]),
        ]
  for (const file of extra) {
    rows.push([titles[file.format], output.path(file.path)])
    const kept = ownPasswordFile(file)
    if (kept !== null) rows.push(['Its password', output.path(kept)])
  }
  if (password !== undefined) rows.push(['Password', password])
  const width = Math.max(...rows.map(([title]) => title.length)) + 2
  return rows.map(([title, value]) => `${`${title}:`.padEnd(width)}${value}`)
}
