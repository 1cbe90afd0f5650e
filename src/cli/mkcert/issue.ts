import { resolve } from 'node:path'
import { ensureScopeFor } from '../../authority/create.ts'
import { issue, type Issued, type IssueRequest } from '../../certificates/issue.ts'
import { checkOutputs } from '../../certificates/output-files.ts'
import { currentCertificates } from '../../certificates/status.ts'
import { useOf } from '../../certificates/use.ts'
import { RootlingError } from '../../errors.ts'
import { writeFileAtomic } from '../../files/atomic.ts'
import { hasCode, unwritable } from '../../files/errors.ts'
import { fileName } from '../../files/windows-name.ts'
import { inJson, readInventoryOf } from '../../storage/files/record.ts'
import { issueInFiles } from '../../storage/issue-again.ts'
import { parseIdentifier } from '../../x509/identifier.ts'
import { pemBlocks } from '../../x509/pem.ts'
import { day, maximumDays } from '../../x509/profiles.ts'
import type { Context } from '../context.ts'
import type { Output } from '../output.ts'
import { warnOfReplaced } from '../replaced.ts'
import { readInputBytes } from '../../files/read-input.ts'
import type { LocalCa } from './authority.ts'
import type { Flags } from './flags.ts'
import { quotedPath } from '../../shell-word.ts'

const password = 'changeit'

/**
 * Issues a certificate for the names or the request of a command line, writes the files that mkcert
 * would write, and prints their paths.
 */
export async function issueFiles(
  flags: Flags,
  names: readonly string[],
  { scopes }: LocalCa,
  context: Context,
): Promise<void> {
  const { state, cwd, now, output } = context
  for (const name of names) refuseNoName(name)
  const csr = flags.csr === undefined ? undefined : await readInputBytes(resolve(cwd, flags.csr))
  const base = csr === undefined ? defaultBase(names, flags) : await requestBase(csr)
  const paths = {
    cert: flags['cert-file'] ?? `./${base}.pem`,
    key: flags['key-file'] ?? `./${base}-key.pem`,
    p12: flags['p12-file'] ?? `./${base}.p12`,
  }
  const pkcs12 = flags.pkcs12 === true
  // For the other files, `issue` looks itself.
  if (pkcs12)
    for (const warning of await checkOutputs(state, [resolve(cwd, paths.p12)], ['beside']))
      output.warn(warning)
  const purpose = flags.client === true ? 'client' : 'server'
  const use = useOf({ purpose, identifiers: names.map(parseIdentifier) })
  // mkcert's root signs clients and mail too, and their servers know it by rootCA.pem.
  const adopted = scopes.find(({ name, direct }) => name === 'local' && direct)
  const request: IssueRequest = {
    names,
    purpose,
    scope: use === 'servers' ? undefined : adopted?.name,
    keyType: flags.ecdsa === true ? 'p256' : 'rsa2048',
    days: daysUntil(now()),
    files: pkcs12
      ? null
      : {
          certPath: resolve(cwd, paths.cert),
          keyPath: resolve(cwd, paths.key),
          inState: 'beside',
        },
    rights: null,
    // mkcert replaces existing files, whatever they hold, and scripts rely on it.
    force: true,
    csr,
  }
  const issued = await issue(state, request, now())
  if (pkcs12) {
    await warnOfTakenP12(resolve(cwd, paths.p12), context)
    await writePkcs12(issued, resolve(cwd, paths.p12), base, context)
  }
  describe(issued, context)
  if (issued.before !== null) {
    // What mkcert's flags cannot say, the command `rootling issue` can.
    const same = {
      positionals: names,
      client: flags.client,
      csr: flags.csr,
      'cert-file': paths.cert,
      ...(csr === undefined ? { 'key-file': paths.key } : {}),
      ...(csr === undefined && flags.ecdsa !== true ? { 'key-type': 'rsa2048' as const } : {}),
    }
    warnOfReplaced(same, issued.before, output)
  }
  if (use === 'clients' && adopted === undefined) {
    const { rootPath } = await ensureScopeFor(state, 'clients', now())
    paragraph(`Servers know it by the root "${rootPath}", not by rootCA.pem ℹ️`, output)
  }
  if (pkcs12) {
    paragraph(`The PKCS#12 bundle is at "${paths.p12}" ✅`, output)
    paragraph(
      `Its password is "${password}", as everybody knows; only you can read the file.`,
      output,
    )
  } else if (csr !== undefined) paragraph(`The certificate is at "${paths.cert}" ✅`, output)
  else if (paths.cert === paths.key)
    paragraph(`The certificate and key are at "${paths.cert}" ✅`, output)
  else paragraph(`The certificate is at "${paths.cert}" and the key at "${paths.key}" ✅`, output)
  paragraph(`It will expire on ${longDate(new Date(issued.record.notAfter))} 🗓`, output)
}

/** Prints a line and an empty one below it, as mkcert does. */
function paragraph(text: string, output: Output): void {
  output.note(text)
  output.note('')
}

function refuseNoName(name: string): void {
  try {
    parseIdentifier(name)
  } catch (error) {
    if (!(error instanceof RootlingError)) throw error
    const sentence = `"${name}" is not a valid hostname, IP, URL or email: ${error.message}`
    throw new RootlingError('bad-name', sentence, { hint: error.hint, cause: error })
  }
}

function describe({ record, warnings }: Issued, { output }: Context): void {
  const values = record.identifiers.map(({ value }) => value)
  output.note('')
  output.note('Created a new certificate valid for the following names 📜')
  for (const value of values) output.note(` - "${value}"`)
  output.note('')
  const wildcard = values.find((value) => value.startsWith('*.'))
  if (wildcard !== undefined)
    paragraph(
      `Reminder: X.509 wildcards only go one level deep, so this won't match a.b.${wildcard.slice(2)} ℹ️`,
      output,
    )
  for (const warning of warnings) output.warn(warning)
}

/**
 * Returns the beginning of the file names by mkcert's rule: the first name as typed, and the number
 * of the other names.
 */
function defaultBase(names: readonly string[], { client }: Flags): string {
  const [first = ''] = names
  // oxlint-disable-next-line no-control-regex -- what is ASCII is meant
  const shown = /^[\x00-\x7F]*$/.test(first) ? first : parseIdentifier(first).value
  const safe = fileName(
    shown.replaceAll(':', '_').replaceAll('*', '_wildcard').replaceAll('/', '_'),
  )
  const more = names.length > 1 ? `+${names.length - 1}` : ''
  return `${safe}${more}${client === true ? '-client' : ''}`
}

async function requestBase(csr: Buffer): Promise<string> {
  const { readRequest } = await import('../../x509/request.ts')
  const { names } = readRequest(csr)
  return defaultBase(
    names.map(({ value }) => value),
    {},
  )
}

/** Returns the days of validity: two years and three months as in mkcert, which Apple accepts. */
function daysUntil(now: Date): number {
  const end = new Date(now)
  end.setUTCMonth(end.getUTCMonth() + 27)
  return Math.min(Math.floor((end.getTime() - now.getTime()) / day), maximumDays)
}

async function writePkcs12(
  { chain, key }: Issued,
  path: string,
  friendlyName: string,
  { state }: Context,
): Promise<void> {
  const { makePkcs12 } = await import('../../x509/pkcs12.ts')
  const [pkcs8] = pemBlocks(key ?? '')
  if (pkcs8 === undefined) throw new TypeError('a certificate without a request has a key')
  const certificates = pemBlocks(chain).map(({ der }) => der)
  // The old encryption is used, as by mkcert, for old applications that can read no other.
  const fields = { chain: certificates, pkcs8: pkcs8.der, friendlyName, password, legacy: true }
  const data = await makePkcs12(fields)
  await writeFileAtomic(path, { data, mode: 0o600, secret: true }, state.owner).catch(
    (error: unknown) => {
      throw hasCode(error) ? unwritable(path, error) : error
    },
  )
}

/** Warns where a .p12 on record gets other contents, which its renewals cannot open. */
async function warnOfTakenP12(path: string, { state, output }: Context): Promise<void> {
  const { certificates, forgotten } = await readInventoryOf(state, [`"${inJson(path)}"`], {
    onDamage: () => undefined,
  })
  const record = currentCertificates(certificates).findLast(({ extra = [] }) =>
    extra.some((each) => each.path === path),
  )
  if (record === undefined || forgotten.has(record.serialNumber)) return
  output.warn(
    `${quotedPath(path)} was the .p12 of the certificate in ${quotedPath(record.certPath ?? '')}, whose renewals cannot open this one. To have both: ${issueInFiles(record)} --p12-file FILE`,
  )
}

function longDate(date: Date): string {
  const month = date.toLocaleString('en-GB', { month: 'long', timeZone: 'UTC' })
  return `${date.getUTCDate()} ${month} ${date.getUTCFullYear()}`
}
