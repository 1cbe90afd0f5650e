import { basename, dirname, resolve } from 'node:path'
import { makeCrl, makeCrls, readRootCrl } from '../../certificates/crl.ts'
import { checkOutputs } from '../../certificates/output-files.ts'
import { RootlingError } from '../../errors.ts'
import { sweepDead, writeFileAtomic } from '../../files/atomic.ts'
import { fileStorage } from '../../storage/files/storage.ts'
import { encodePem } from '../../x509/pem.ts'
import { exitCodes, type ArgumentsOf, type ExitCode } from '../command.ts'
import type { Context } from '../context.ts'
import { linesOf } from '../lines.ts'
import type { crlSpec } from '../specs/certificates.ts'

/**
 * `rootling crl`: prints or writes a new CRL of a scope and the stored CRL of its root, or with
 * --issuer or --root one of them. DER holds one list: without --root the scope's own.
 */
export async function crl(
  args: ArgumentsOf<typeof crlSpec>,
  { state, cwd, output, now }: Context,
): Promise<ExitCode> {
  const scope = args.scope ?? 'local'
  const path = args.out === undefined ? null : resolve(cwd, args.out)
  const wantsDer = args.der === true || args.format === 'der'
  if (wantsDer && path === null)
    throw new RootlingError('usage', 'DER is for a file, not for a terminal.', {
      hint: `rootling crl --format der --out ${scope}.crl`,
    })
  if (path !== null) for (const warning of await checkOutputs(state, [path])) output.warn(warning)
  const root = args.root === true
  const storage = fileStorage(state)
  const lists = root
    ? [await readRootCrl(storage, scope)]
    : wantsDer || args.issuer === true
      ? [await makeCrl(storage, scope, now())]
      : await makeCrls(storage, scope, now())
  const pem = lists.map((der) => encodePem('X509 CRL', der)).join('')
  if (path === null) {
    output.result(linesOf(pem.trimEnd()), { scope, root, path, crl: pem })
    return exitCodes.ok
  }
  const data = (wantsDer ? lists[0] : undefined) ?? pem
  await sweepDead(dirname(path), basename(path))
  await writeFileAtomic(path, { data, rights: null, mode: 0o644 }, state.owner)
  output.result([path], { scope, root, path, crl: pem })
  return exitCodes.ok
}
