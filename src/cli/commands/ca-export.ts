import { randomBytes, X509Certificate } from 'node:crypto'
import { readFile, rm } from 'node:fs/promises'
import { resolve } from 'node:path'
import { expectSuccess, timeLimits } from '../../../platform/command.ts'
import { createMachine } from '../../../platform/machine.ts'
import { ensureScopeFor } from '../../authority/create.ts'
import { requireScope, rootForOpenssl, type Scope } from '../../authority/scope.ts'
import { checkOutputs, refuseExisting } from '../../certificates/output-files.ts'
import { RootlingError } from '../../errors.ts'
import { writeFileAtomic } from '../../files/atomic.ts'
import {
  allRoots,
  allRootsPath,
  hasAllRoots,
  updateAllRoots,
  type AllRootsFile,
} from '../../storage/files/all-roots.ts'
import { exclusively } from '../../storage/files/unfinished-writes.ts'
import { toMove } from '../../shell-commands.ts'
import { exitCodes, type ArgumentsOf, type ExitCode } from '../command.ts'
import type { Context } from '../context.ts'
import { describeScope } from '../../authority/describe-scope.ts'
import { linesOf } from '../lines.ts'
import { meantScope } from '../nearest.ts'
import { readInputBytes } from '../../files/read-input.ts'
import type { caExportSpec, caPathSpec, caShowSpec } from '../specs/ca.ts'
import { quotedPath } from '../../shell-word.ts'

/** The password of Java's own trust stores; it protects nothing, since roots are public. */
const javaPassword = 'changeit'

const ordinaryOnly =
  'This root is hardened, but not in this form, which every program accepts: with it OpenSSL, curl and Node take a stolen key’s common names for hosts. For them: rootling ca path --openssl'

/** `rootling ca export`: prints or writes a public root, in the format that other programs need. */
export async function caExport(
  args: ArgumentsOf<typeof caExportSpec>,
  context: Context,
): Promise<ExitCode> {
  const { cwd, state, output } = context
  const scope = await chosenScope(args.positionals, context)
  const format = args.format ?? 'pem'
  const roots = args.all === true ? await allRoots(state) : [scope.root.toString()]
  if (args.all === true) refuseAll(args)
  const pem = roots.join('')
  if (scope.copies !== null) output.note(ordinaryOnly)
  if (args.out === undefined) {
    if (format !== 'pem')
      throw new RootlingError('usage', `--format ${format} is not for a terminal.`, {
        hint: `rootling ca export --format ${format} --out FILE`,
      })
    output.result(linesOf(pem.trimEnd()), { scope: describeScope(scope), pem })
    return exitCodes.ok
  }
  const path = resolve(cwd, args.out)
  for (const warning of await checkOutputs(state, [path])) output.warn(warning)
  if (args.force !== true) await refuseExisting(path, 'Name another file, or add --force')
  if (format === 'jks') await exportJks(scope, path, context)
  else {
    const data =
      format === 'pem'
        ? pem
        : format === 'der'
          ? scope.root.raw
          : await javaTrustStore(roots, scope.name)
    await writeFileAtomic(path, { data, rights: null, mode: 0o644 }, state.owner)
  }
  output.result([path], { scope: describeScope(scope), path, format })
  return exitCodes.ok
}

function refuseAll({
  positionals: [name],
  format = 'pem',
}: ArgumentsOf<typeof caExportSpec>): void {
  if (name !== undefined)
    throw new RootlingError('usage', `--all names every scope, so ${name} means nothing.`, {
      hint: 'rootling ca export --all',
    })
  if (format === 'der' || format === 'jks')
    throw new RootlingError(
      'usage',
      `--format ${format} holds one root, and --all means several.`,
      {
        hint: 'Give --format pkcs12 --out FILE, or print PEM: rootling ca export --all',
      },
    )
}

/**
 * `rootling ca path`: prints the path of the file of all roots, or of that of one scope, for scripts.
 * With --client it makes the scope for clients where there is none; with --openssl the file holds the
 * copies of each hardened root in place of the root.
 */
export async function caPath(
  args: ArgumentsOf<typeof caPathSpec>,
  context: Context,
): Promise<ExitCode> {
  const scope =
    args.client === true
      ? await clientScope(args, context)
      : await chosenScope(args.positionals, context)
  const isAll = args.positionals.length === 0 && args.client !== true
  const own = args.openssl === true ? rootForOpenssl(scope).path : scope.rootPath
  const file = args.openssl === true ? 'roots-openssl.pem' : 'roots.pem'
  const path = isAll ? await makeAllRoots(file, context) : own
  if (args.openssl !== true && scope.copies !== null) context.output.note(ordinaryOnly)
  context.output.result([path], { path, scope: describeScope(scope) })
  return exitCodes.ok
}

/**
 * Makes a file of all roots, or brings it up to date, and returns its path. Throws `not-ours` where
 * another program's file has that path.
 */
async function makeAllRoots(file: AllRootsFile, { state }: Context): Promise<string> {
  const path = allRootsPath(state, file)
  if (await hasAllRoots(state, file)) return path
  await exclusively(state, () => updateAllRoots(state, { make: file }))
  if (await hasAllRoots(state, file)) return path
  const option = file === 'roots.pem' ? '' : ' --openssl'
  const sentence = `${quotedPath(path)} is there already, and Rootling did not write it.`
  throw new RootlingError('not-ours', sentence, {
    hint: `${toMove(path, `${path}.old`)}; or name one scope: rootling ca path local${option}`,
  })
}

async function clientScope(
  { positionals: [name] }: ArgumentsOf<typeof caPathSpec>,
  { state, now }: Context,
): Promise<Scope> {
  if (name !== undefined)
    throw new RootlingError('usage', `--client names a scope already, so ${name} means nothing.`, {
      hint: 'rootling ca path --client',
    })
  return ensureScopeFor(state, 'clients', now())
}

/** `rootling ca show`: prints what `rootling show` prints for the root. */
export async function caShow(
  args: ArgumentsOf<typeof caShowSpec>,
  context: Context,
): Promise<ExitCode> {
  const { rootPath } = await chosenScope(args.positionals, context)
  const { printShown } = await import('../show-text.ts')
  const contents = await readInputBytes(rootPath)
  await printShown(rootPath, [{ from: 'file', name: rootPath, contents }], context)
  return exitCodes.ok
}

/** Returns the scope that is named, or `local`. Throws `usage`, `no-authority` or `no-scope`. */
async function chosenScope(
  [name = 'local', ...more]: readonly string[],
  { state }: Context,
): Promise<Scope> {
  if (more.length > 0)
    throw new RootlingError('usage', 'Name one scope.', { hint: 'rootling ca list' })
  return requireScope(state, name, (names) => meantScope(name, names))
}

async function javaTrustStore(roots: readonly string[], name: string): Promise<Buffer> {
  const { makeTrustStore } = await import('../../x509/pkcs12.ts')
  return makeTrustStore({
    roots: roots.map((pem, index) => ({
      der: new X509Certificate(pem).raw,
      friendlyName: `rootling-${name}${index === 0 ? '' : `-${index + 1}`}`,
    })),
    password: javaPassword,
  })
}

/** Writes the root to a trust store in Java's own format, JKS, with Java's keytool. */
async function exportJks(scope: Scope, path: string, { env, state }: Context): Promise<void> {
  const machine = await createMachine({ env })
  const keytool = await machine.find('keytool')
  if (keytool === null)
    throw new RootlingError('tool-missing', 'keytool is not on this machine; it comes with Java.', {
      hint: 'Java 8 and later read PKCS #12 too: rootling ca export --format pkcs12',
    })
  // keytool writes to a new file, because it would add the root to an existing store, and because
  // the old store must stay if keytool fails.
  const made = `${path}.${randomBytes(6).toString('hex')}`
  const store = ['-keystore', made, '-storetype', 'JKS', '-storepass', javaPassword]
  const args = ['-importcert', '-noprompt', '-alias', `rootling-${scope.name}`, ...store]
  const options = {
    as: 'person',
    input: scope.root.toString(),
    timeLimit: timeLimits.change,
  } as const
  try {
    expectSuccess('keytool', await machine.change(keytool, args, options))
    await writeFileAtomic(
      path,
      { data: await readFile(made), rights: null, mode: 0o644 },
      state.owner,
    )
  } finally {
    await rm(made, { force: true }).catch(() => undefined)
  }
}
