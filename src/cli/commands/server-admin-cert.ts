import { createPrivateKey } from 'node:crypto'
import { join, resolve } from 'node:path'
import { refuseExisting } from '../../certificates/output-files.ts'
import { RootlingError } from '../../errors.ts'
import { writeFileAtomic } from '../../files/atomic.ts'
import { makePrivateDirectory } from '../../files/private-directory.ts'
import type {
  CreatedAdminCertificate,
  ListedAdminCertificate,
} from '../../replica/admin-certificates.ts'
import { readAdministrator } from '../../replica/administrators.ts'
import { shellWord } from '../../shell-word.ts'
import { generateKeys } from '../../x509/keys.ts'
import { encodePem } from '../../x509/pem.ts'
import { makeRequest } from '../../x509/request.ts'
import { serverOf, type Asks } from '../ask-server.ts'
import { exitCodes, type ArgumentsOf, type ExitCode } from '../command.ts'
import type { Context } from '../context.ts'
import type { serverAdminCertSpec } from '../specs/team.ts'

type Arguments = ArgumentsOf<typeof serverAdminCertSpec>

/** `rootling server admin-cert create NAME|list|revoke SERIAL`. */
export async function serverAdminCert(args: Arguments, context: Context): Promise<ExitCode> {
  const [word = '', what, ...more] = args.positionals
  const asks = serverOf(args, context)
  if (word === 'create' && what !== undefined && more.length === 0)
    return create(what, args, context, asks)
  if (word === 'list' && what === undefined) return list(context, asks)
  if (word === 'revoke' && what !== undefined && more.length === 0)
    return revoke(what, context, asks)
  throw new RootlingError(
    'usage',
    'rootling server admin-cert takes create and a name, or list, or revoke and a serial number.',
    { hint: 'rootling server admin-cert list' },
  )
}

/** Makes the key here, so that the server never sees it. */
async function create(
  name: string,
  args: Arguments,
  { cwd, state, output }: Context,
  asks: Asks,
): Promise<ExitCode> {
  const identifier = readAdministrator(name)
  const directory = resolve(cwd, args.out ?? '.')
  const base = identifier.value.replace(/[^\w.@-]/g, '_').slice(0, 100)
  const [certPath, keyPath, caPath] = ['.pem', '-key.pem', '-ca.pem'].map((end) =>
    join(directory, `${base}${end}`),
  ) as [string, string, string]
  for (const path of [certPath, keyPath, caPath])
    await refuseExisting(path, 'Write elsewhere: --out DIR')
  const keys = await generateKeys('p256')
  const key = createPrivateKey({ key: keys.pkcs8, format: 'der', type: 'pkcs8' })
  const csr = encodePem(
    'CERTIFICATE REQUEST',
    makeRequest({ identifiers: [identifier], keys, key }),
  )
  const made = (await asks('admin-cert-create', { name, csr })) as CreatedAdminCertificate
  const { certificate, serialNumber, notAfter, roots } = made
  await makePrivateDirectory(directory, state.owner)
  const write = (path: string, data: string, mode: number, secret = false): Promise<void> =>
    writeFileAtomic(path, { data, rights: null, mode, secret }, state.owner)
  await write(keyPath, encodePem('PRIVATE KEY', keys.pkcs8), 0o600, true)
  await write(certPath, certificate, 0o644)
  await write(caPath, roots, 0o644)
  output.result([`certificate  ${certPath}`, `key          ${keyPath}`, `ca           ${caPath}`], {
    serialNumber,
    notAfter,
    certPath,
    keyPath,
    caPath,
  })
  output.note(
    `It lasts until ${notAfter.slice(0, 10)}. A server lets it in that was started with --admin ${shellWord(identifier.value)}.`,
  )
  return exitCodes.ok
}

async function list({ output }: Context, asks: Asks): Promise<ExitCode> {
  const certificates = (await asks('admin-cert-list')) as readonly ListedAdminCertificate[]
  output.result(
    certificates.map(({ serialNumber, names, notAfter, revocation }) =>
      [
        serialNumber,
        names.join(', '),
        revocation === null ? `until ${notAfter.slice(0, 10)}` : 'revoked',
      ].join('  '),
    ),
    { certificates },
  )
  if (certificates.length === 0)
    output.note('There is none. Make one: rootling server admin-cert create NAME')
  return exitCodes.ok
}

async function revoke(serialNumber: string, { output }: Context, asks: Asks): Promise<ExitCode> {
  const { changed } = (await asks('admin-cert-revoke', { serialNumber })) as {
    readonly changed: boolean
  }
  output.note(
    changed
      ? `Revoked ${serialNumber}: no server lets it in any more.`
      : `${serialNumber} was revoked before.`,
  )
  output.result([], { serialNumber, changed })
  return exitCodes.ok
}
