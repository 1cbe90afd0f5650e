import { resolve } from 'node:path'
import { readTrustedScopes, rootForOpenssl } from '../../authority/scope.ts'
import { compare, type Outcome } from '../../client/compare.ts'
import { get, type GetOptions, type GetResponse } from '../../client/get.ts'
import { describeFinding } from '../../doctor/messages.ts'
import { RootlingError } from '../../errors.ts'
import { exitCodes, type ArgumentsOf, type ExitCode } from '../command.ts'
import type { Context } from '../context.ts'
import { unmapped } from '../../x509/ip.ts'
import { fingerprintText } from '../../x509/parsed-certificate.ts'
import { shownSubject } from '../../x509/shown-subject.ts'
import { timeText } from '../describe.ts'
import { bold, table, type Line } from '../lines.ts'
import type { Output } from '../output.ts'
import { readCertificates, readInput } from '../read-input.ts'
import type { getSpec } from '../specs/servers.ts'

/**
 * `rootling get URL`: sends one request, trusting the roots of this CA, or those of --cacert, and
 * no others. The body goes to stdout alone, so that a program can read it from a pipe.
 */
export async function getCommand(
  args: ArgumentsOf<typeof getSpec>,
  context: Context,
): Promise<ExitCode> {
  const { output } = context
  const [url = ''] = args.positionals
  const options = await readOptions(args, context)
  if (args.compare === true) return compareBoth(url, options, context)
  const response = await get(url, options)
  if (args.verbose === true)
    for (const [title, value] of tlsRows(response)) output.note(`${title.padEnd(12)}  ${value}`)
  if (args.include !== true) output.note(statusLine(response))
  output.result(args.include === true ? [statusLine(response), ...headerLines(response), ''] : [], {
    url,
    ...responseInJson(response),
    body: response.body.toString('utf8'),
  })
  if (!output.json) output.contents(response.body)
  if (response.truncated) output.warn('The body was longer and was cut off.')
  return exitCodes.ok
}

async function readOptions(
  args: ArgumentsOf<typeof getSpec>,
  context: Context,
): Promise<GetOptions> {
  const { state, now } = context
  const { cacert, 'cert-file': cert, 'key-file': key } = args
  if ((cert === undefined) !== (key === undefined))
    throw new RootlingError('usage', '--cert-file and --key-file go together.', {
      hint: 'rootling get URL --cert-file alice-client.pem --key-file alice-client-key.pem',
    })
  const ca =
    cacert === undefined
      ? (await readTrustedScopes(state)).map((scope) => rootForOpenssl(scope).pem)
      : await readCertificates(resolve(context.cwd, cacert))
  if (cert === undefined || key === undefined) return { ca, now }
  const [certPem, keyPem] = await Promise.all(
    [cert, key].map((path) => readInput(resolve(context.cwd, path))),
  )
  return { ca, now, clientCertificate: { cert: certPem ?? '', key: keyPem ?? '' } }
}

async function compareBoth(
  url: string,
  options: GetOptions,
  { output }: Context,
): Promise<ExitCode> {
  const { trusting, untrusting } = await compare(url, options)
  const findings = findingsOf(trusting.ok ? trusting : untrusting)
  const lines = [
    bold('A client that trusts this CA'),
    ...outcomeLines(trusting, output),
    '',
    bold('A client that does not'),
    ...outcomeLines(untrusting, output),
    ...findings.flatMap(({ rejectedBy, sentence, remedy }) => [
      '',
      bold(`Refused by ${rejectedBy}`),
      ...output.prose(`  ${sentence}`),
      ...output.prose(`  → ${output.hint(remedy)}`),
    ]),
  ]
  output.result(lines, {
    url,
    trusting: outcomeInJson(trusting),
    untrusting: outcomeInJson(untrusting),
    findings,
  })
  return trusting.ok ? exitCodes.ok : exitCodes.notTrusted
}

/** Why other clients refuse a certificate that Node accepts, in the form of `show --json`. */
function findingsOf(outcome: Outcome) {
  const commonName = outcome.ok ? outcome.response.tls.commonNameOnly : null
  if (commonName === null) return []
  const finding = { code: 'common-name-only', commonName } as const
  return [{ code: finding.code, ...describeFinding(finding) }]
}

function outcomeLines(outcome: Outcome, output: Output): Line[] {
  if (outcome.ok)
    return [
      `  ${statusLine(outcome.response)}`,
      ...table(
        tlsRows(outcome.response).map(([title, value]) => [`  ${title}`, value]),
        output.width,
      ),
    ]
  const { message, hint } = outcome.error
  const todo = hint === undefined ? [] : output.prose(`  → ${output.hint(hint)}`)
  return [...output.prose(`  refused: ${message}`), ...todo]
}

function outcomeInJson(outcome: Outcome): Record<string, unknown> {
  if (outcome.ok) return { ok: true, ...responseInJson(outcome.response) }
  const { code, message, hint = null } = outcome.error
  return { ok: false, error: { code, message, hint } }
}

function responseInJson(response: GetResponse): Record<string, unknown> {
  const { status, statusText, httpVersion, headers, truncated, remoteAddress, tls } = response
  return { status, statusText, httpVersion, headers, truncated, remoteAddress, tls }
}

function statusLine({ httpVersion, status, statusText }: GetResponse): string {
  return `HTTP/${httpVersion} ${status} ${statusText}`.trimEnd()
}

function headerLines({ headers }: GetResponse): string[] {
  return Object.entries(headers).flatMap(([name, value = []]) =>
    [value].flat().map((each) => `${name}: ${each}`),
  )
}

function tlsRows({ remoteAddress, tls }: GetResponse): [title: string, value: string][] {
  const { protocol, cipher, group, subjectAltName, commonNameOnly } = tls
  return [
    ['connected to', unmapped(remoteAddress)],
    ['secured by', [protocol, cipher, group].filter(Boolean).join(', ')],
    [
      'certificate',
      commonNameOnly === null
        ? subjectAltName.join(', ')
        : `${commonNameOnly} (its common name only)`,
    ],
    ['issued by', shownSubject(tls.issuer)],
    ['valid', `${timeText(tls.notBefore)} to ${timeText(tls.notAfter)}`],
    ['fingerprint', fingerprintText(tls.fingerprint)],
  ]
}
