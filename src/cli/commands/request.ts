import { createPrivateKey } from 'node:crypto'
import { resolve } from 'node:path'
import { parseNames } from '../../certificates/names.ts'
import { checkOutputs, fileBase, refuseExisting } from '../../certificates/output-files.ts'
import { askForUser } from '../../files/access-list.ts'
import { writeFileAtomic } from '../../files/atomic.ts'
import { shellWord } from '../../shell-word.ts'
import { generateKeys } from '../../x509/keys.ts'
import { encodePem } from '../../x509/pem.ts'
import { makeRequest } from '../../x509/request.ts'
import { exitCodes, type ArgumentsOf, type ExitCode } from '../command.ts'
import type { Context } from '../context.ts'
import type { requestSpec } from '../specs/certificates.ts'

/** `rootling request NAME…`: creates a key and a CSR, for another CA to sign. */
export async function request(
  args: ArgumentsOf<typeof requestSpec>,
  { cwd, state, output }: Context,
): Promise<ExitCode> {
  const identifiers = parseNames(args.positionals, 'rootling request')
  const base = fileBase({ identifiers, purpose: 'server' })
  const csrPath = resolve(cwd, args['csr-file'] ?? `${base}.csr`)
  const keyPath = resolve(cwd, args['key-file'] ?? `${base}-key.pem`)
  for (const warning of await checkOutputs(state, [csrPath, keyPath])) output.warn(warning)
  for (const path of [csrPath, keyPath])
    if (args.force !== true)
      await refuseExisting(
        path,
        'Write elsewhere with --csr-file and --key-file, or replace it with --force',
      )
  await askForUser()
  const keys = await generateKeys(args['key-type'] ?? 'p256')
  const key = createPrivateKey({ key: keys.pkcs8, format: 'der', type: 'pkcs8' })
  const csr = encodePem('CERTIFICATE REQUEST', makeRequest({ identifiers, keys, key }))
  const data = encodePem('PRIVATE KEY', keys.pkcs8)
  await writeFileAtomic(keyPath, { data, rights: null, mode: 0o600, secret: true }, state.owner)
  await writeFileAtomic(csrPath, { data: csr, rights: null, mode: 0o644 }, state.owner)
  output.note(`To sign it here: rootling issue --csr ${shellWord(csrPath)}`)
  output.result([`Request:  ${csrPath}`, `Key:      ${keyPath}`], { csrPath, keyPath })
  return exitCodes.ok
}
