import { createHash } from 'node:crypto'
import { AcmeProblem } from '../problems.ts'
import { createResolver } from './addresses.ts'
import type { Attempt } from './attempt.ts'

/** Looks for the TXT record of `_acme-challenge.NAME` (RFC 8555 §8.4). Throws an AcmeProblem. */
export async function validateDns01(attempt: Attempt): Promise<void> {
  const { identifier, keyAuthorization, options } = attempt
  const name = `_acme-challenge.${identifier.value}`
  if (options.dnsResolver === undefined)
    throw new AcmeProblem('dns', 'This server was given no resolver: start it with --dns-resolver.')
  let records: string[][]
  try {
    records = await createResolver(options.dnsResolver).resolveTxt(name)
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown error'
    throw new AcmeProblem('dns', `${name} has no TXT record at ${options.dnsResolver} (${code}).`, {
      cause: error,
    })
  }
  const wanted = createHash('sha256').update(keyAuthorization).digest('base64url')
  const found = records.map((strings) => strings.join(''))
  if (found.includes(wanted)) return
  throw new AcmeProblem(
    'incorrectResponse',
    `${name} is ${found
      .map((one) => JSON.stringify(one.slice(0, 60)))
      .join(', ')
      .slice(0, 300)}, not ${wanted}.`,
  )
}
