import { RootlingError } from '../errors.ts'
import { exists } from '../files/exists.ts'
import type { StateDirectory } from '../home/state-directory.ts'
import { shellWord } from '../shell-word.ts'
import { inJson, readInventoryOf } from '../storage/files/record.ts'
import { issueAgain } from '../storage/issue-again.ts'
import type { CertificateRecord } from '../storage/records.ts'

/**
 * Returns the PKCS #12 file of a client certificate that was issued here, by one of its names or its
 * common name; `null`: no client certificate on record has that name. Throws `usage` where there are
 * several such files, or none.
 */
export async function clientFileOf(state: StateDirectory, name: string): Promise<string | null> {
  const { certificates } = await readInventoryOf(
    state,
    [`"${inJson(name)}"`, `CN=${inJson(name)}`],
    { onDamage: () => undefined },
  )
  const named = certificates.filter((record) => isClientNamed(record, name))
  const last = named.at(-1)
  if (last === undefined) return null
  const paths = named
    .flatMap(({ extra = [] }) => extra)
    .flatMap(({ format, path }) => (format === 'pkcs12' ? [path] : []))
  const files: string[] = []
  for (const path of new Set(paths)) if (await exists(path)) files.push(path)
  const [file, ...others] = files
  if (file === undefined)
    throw new RootlingError('usage', `The client certificate of ${name} has no .p12 file.`, {
      hint: `${issueAgain(last)} --pkcs12 --force`,
    })
  if (others.length === 0) return file
  throw new RootlingError('usage', `${name} has several .p12 files: ${files.join(', ')}.`, {
    hint: `rootling install-client ${shellWord(file)}`,
  })
}

const isClientNamed = ({ purpose, identifiers, subject = '' }: CertificateRecord, name: string) =>
  purpose === 'client' &&
  (identifiers.some(({ value }) => value === name) || subject.split(/,\s*/).includes(`CN=${name}`))
