import { resolve } from 'node:path'
import { createAnchor } from '../../../platform/pem.ts'
import { readRoot } from '../../authority/adopt.ts'
import { get } from '../../client/get.ts'
import { RootlingError } from '../../errors.ts'
import { installAnchors } from '../../trust/stores.ts'
import { nameConstraintsOf, readCertificateParts } from '../../x509/certificate-reader.ts'
import { fingerprintOf } from '../../x509/parsed-certificate.ts'
import { insist } from '../ask.ts'
import type { ArgumentsOf, ExitCode } from '../command.ts'
import type { Context } from '../context.ts'
import { readInputBytes } from '../read-input.ts'
import type { trustSpec } from '../specs/stores.ts'
import {
  changeExitCode,
  equipStores,
  openStores,
  outcomeTable,
  printPlan,
  withStoresLock,
} from '../trusting.ts'

/** `rootling trust FILE|URL`: a teammate's public root, taken only when it is the one meant. */
export async function trust(
  args: ArgumentsOf<typeof trustSpec>,
  context: Context,
): Promise<ExitCode> {
  const { output, now } = context
  const [source = ''] = args.positionals
  const root = readRoot(await load(source, args, context), source, now())
  const fingerprint = fingerprintOf(root)
  const constraints = nameConstraintsOf(readCertificateParts(root.raw))
  const names =
    constraints === null ? 'any name' : [...constraints.dns, ...constraints.ip].join(', ')
  output.note(`${root.subject.split('\n').join(', ')} may sign: ${names}`)
  if (constraints === null)
    output.warn('This root is unconstrained: whoever has its key can impersonate any site to you.')
  await checkFingerprint(fingerprint, args, context)
  const anchor = createAnchor(root.raw)
  const found = await openStores(args, context, [])
  const { dryRun } = found.machine
  const install = async () =>
    installAnchors(await equipStores(found, args, context), [anchor], { dryRun })
  if (dryRun) {
    const planned = await install()
    printPlan(found.machine, output, planned)
    return changeExitCode(planned)
  }
  const outcomes = await withStoresLock(context, install)
  output.result(outcomeTable(outcomes, output), { fingerprint, constraints, stores: outcomes })
  output.note('To take it out again, and your own roots with it: rootling uninstall --all')
  return changeExitCode(outcomes)
}

async function load(
  source: string,
  { fingerprint }: ArgumentsOf<typeof trustSpec>,
  { cwd, now }: Context,
): Promise<Buffer> {
  if (!/^[a-z][a-z0-9+.-]*:\/\//i.test(source)) return readInputBytes(resolve(cwd, source))
  if (fingerprint === undefined)
    throw new RootlingError('usage', 'A root from the network needs its fingerprint.', {
      hint: `rootling trust ${source} --fingerprint SHA256, which your teammate reads from rootling ca list`,
    })
  if (!source.startsWith('https://'))
    throw new RootlingError('usage', `${source} is not an https URL.`, {
      hint: 'https://…, or a file',
    })
  const { rootCertificates } = await import('node:tls')
  const options = { ca: rootCertificates, maxBodyBytes: 64 * 1024, now }
  const { status, body } = await get(source, options)
  if (status === 200) return body
  throw new RootlingError('connect-failed', `${source} answered ${status}.`, {
    hint: 'Check the URL',
  })
}

async function checkFingerprint(
  actual: string,
  { fingerprint }: ArgumentsOf<typeof trustSpec>,
  { interactive }: Context,
): Promise<void> {
  if (fingerprint === undefined) {
    if (!interactive)
      throw new RootlingError('usage', 'Without a terminal the fingerprint must be given.', {
        hint: `--fingerprint ${actual}, if that is what your teammate says it is`,
      })
    await insist(`Its fingerprint is ${actual}.\nIs that what your teammate says it is?`)
    return
  }
  const wanted = fingerprint.replace(/[:\s]/g, '').toLowerCase()
  if (!/^[0-9a-f]{64}$/.test(wanted))
    throw new RootlingError('usage', `--fingerprint ${fingerprint} is not a SHA-256 in hex.`, {
      hint: 'It has 64 digits',
    })
  if (wanted !== actual)
    throw new RootlingError('not-trusted', `The fingerprint is ${actual}, not the one you gave.`, {
      hint: 'Do not trust it: ask your teammate again over a channel you trust',
    })
}
