import { resolve } from 'node:path'
import { get } from '../../client/get.ts'
import { RootlingError } from '../../errors.ts'
import { shellWord } from '../../shell-word.ts'
import { fingerprintText } from '../../x509/parsed-certificate.ts'
import { trustForeignRoot } from '../../trust/foreign-root.ts'
import type { ArgumentsOf, ExitCode } from '../command.ts'
import type { Context } from '../context.ts'
import { readInputBytes } from '../../files/read-input.ts'
import type { trustSpec } from '../specs/stores.ts'
import { storeOptionsOf } from '../store-arguments.ts'
import { changeExitCode, outcomeTable, printPlan } from '../store-outcomes.ts'
import { trustWorld } from '../trust-world.ts'

/**
 * `rootling trust FILE|URL`: installs a teammate's public root after its fingerprint was checked.
 */
export async function trust(
  args: ArgumentsOf<typeof trustSpec>,
  context: Context,
): Promise<ExitCode> {
  const { output } = context
  const [source = ''] = args.positionals
  const contents = await load(source, args, context)
  const { fingerprint: expected, unconstrained: accepted, name } = args
  if (name === '')
    throw new RootlingError('usage', 'A root cannot be called by an empty name.', {
      hint: 'Leave out --name, or call it by whose it is: --name ada',
    })
  const from = isUrl(source) ? source : resolve(context.cwd, source)
  const shown = { contents, source, from, label: name }
  const root = { ...shown, fingerprint: expected, unconstrained: accepted }
  const change = await trustForeignRoot(trustWorld(args, context), storeOptionsOf(args), root)
  const { label, fingerprint, constraints, unconstrained, outcomes } = change
  if (args['dry-run'] === true) {
    if (expected === undefined)
      output.note(
        `Its fingerprint is ${fingerprintText(fingerprint)}. Without --dry-run you are asked whether that is what your teammate says it is.`,
      )
    for (const { store, outcome, reason } of outcomes)
      if (outcome === 'skipped') output.note(`${store.title} is left out: ${reason}`)
  }
  if (printPlan(change, output)) return changeExitCode(outcomes)
  output.result(outcomeTable(outcomes, output), {
    label,
    fingerprint,
    constraints,
    unconstrained,
    stores: outcomes,
  })
  // A name that begins with a dash would be read as an option.
  const word = label.startsWith('-') ? fingerprint.slice(0, 16) : shellWord(label)
  output.note(`To take it out again: rootling untrust ${word}`)
  return changeExitCode(outcomes)
}

const isUrl = (source: string): boolean => /^[a-z][a-z0-9+.-]*:\/\//i.test(source)

async function load(
  source: string,
  { fingerprint }: ArgumentsOf<typeof trustSpec>,
  { cwd, now }: Context,
): Promise<Buffer> {
  if (!isUrl(source)) return readInputBytes(resolve(cwd, source))
  if (fingerprint === undefined)
    throw new RootlingError('usage', 'A root from the network needs its fingerprint.', {
      hint: `Your teammate finds it in the output of “ca list”: rootling trust ${source} --fingerprint SHA256`,
    })
  if (!source.startsWith('https://'))
    throw new RootlingError('usage', `${source} is not an https URL.`, {
      hint: 'Name an https:// URL, or a file',
    })
  const found = await fetchRoot(source, now)
  // The server of a team has its root there.
  const atServer = found.status === 404 && new URL(source).pathname === '/'
  const { status, body } = atServer
    ? await fetchRoot(new URL('/roots.pem', source).href, now)
    : found
  if (status === 200) return body
  throw new RootlingError('connect-failed', `${source} answered ${status}.`, {
    hint: 'Check the URL',
  })
}

/** Fetches what the fingerprint is checked on, so that the server need not be trusted before. */
const fetchRoot = (url: string, now: () => Date) =>
  get(url, { ca: 'anything', maxBodyBytes: 64 * 1024, now })
