import type { EabKeyOptions } from '../acme/eab-keys.ts'
import type { AcmeServer } from '../acme/server.ts'
import { RootlingError } from '../errors.ts'
import { recordAudit } from '../storage/postgres/audit.ts'
import {
  createAdminCertificate,
  listAdminCertificates,
  revokeAdminCertificate,
  type AdminCertificatesOptions,
} from './admin-certificates.ts'
import type { AdminHandler, Administrator, Parameters } from './admin-requests.ts'
import { refuseForeignNames } from './eab-names.ts'
import type { JsonLog } from './json-log.ts'

/** What the methods of administrators work on. */
export interface Administration extends AdminCertificatesOptions {
  readonly acme: AcmeServer
  readonly log: JsonLog
}

type Method = (work: Administration, parameters: Parameters, by: Administrator) => Promise<unknown>

/** By the path of its request. */
const methods: Readonly<Record<string, Method>> = {
  async 'eab-create'(work, parameters, by) {
    const limits = eabOptions(parameters)
    const { names = [], preauthorized = [] } = limits
    await refuseForeignNames(work.storage, [...names, ...preauthorized])
    const created = await work.acme.createEabKey(limits)
    await note(work, 'eabKeyCreated', { kid: created.kid, ...limits }, by)
    return created
  },
  'eab-list': ({ acme }) => acme.listEabKeys(),
  async 'eab-revoke'(work, { kid }, by) {
    if (typeof kid !== 'string' || !/^[\w-]{1,64}$/.test(kid))
      throw new RootlingError('usage', 'This is not the kid of a key.', {
        hint: 'rootling server eab list',
      })
    const changed = await work.acme.revokeEabKey(kid)
    if (changed) await note(work, 'eabKeyRevoked', { kid }, by)
    return { kid, changed }
  },
  async 'admin-cert-create'(work, { name, csr }, by) {
    if (!by.isLocal) throw onlyBySocket()
    if (typeof name !== 'string' || typeof csr !== 'string')
      throw new RootlingError('usage', 'A certificate needs a name and a request.')
    const created = await createAdminCertificate(work, { name, csr }, by)
    const { serialNumber } = created
    work.log.event('info', 'adminCertificateCreated', { serialNumber, by: by.actor })
    return created
  },
  'admin-cert-list': (work) => listAdminCertificates(work),
  async 'admin-cert-revoke'(work, { serialNumber }, by) {
    if (typeof serialNumber !== 'string' || !/^[0-9a-f]{1,40}$/i.test(serialNumber))
      throw new RootlingError('usage', 'This is not the serial number of a certificate.', {
        hint: 'rootling server admin-cert list',
      })
    const changed = await revokeAdminCertificate(work, serialNumber, by)
    if (changed) work.log.event('info', 'adminCertificateRevoked', { serialNumber, by: by.actor })
    return { serialNumber, changed }
  },
}

export const adminMethods: readonly string[] = Object.keys(methods)

/** Answers administrators. */
export function administer(work: Administration): AdminHandler {
  return async (name, parameters, by) => {
    const method = Object.hasOwn(methods, name) ? methods[name] : undefined
    if (method !== undefined) return method(work, parameters, by)
    throw new RootlingError('usage', `The server knows no method ${name.slice(0, 40)}.`, {
      hint: 'Is the server of another release than this command?',
    })
  }
}

/** Writes what was done into the log and the audit. */
async function note(
  { database, log }: Administration,
  event: string,
  facts: { readonly kid: string },
  { actor }: Administrator,
): Promise<void> {
  log.event('info', event, { kid: facts.kid, by: actor })
  await recordAudit(database, { actor, event, facts })
}

/** Whoever stole the key of an administrator must not stay one. */
const onlyBySocket = (): RootlingError =>
  new RootlingError('usage', 'Certificates of administrators are made on the server’s machine.', {
    hint: 'As the user of the server: rootling server admin-cert create NAME',
  })

/** Reads options from JSON. The ACME server checks their values. */
function eabOptions(parameters: Parameters): EabKeyOptions {
  const list = (name: string): string[] | undefined => {
    const value = parameters[name]
    if (value === undefined) return undefined
    if (Array.isArray(value) && value.every((one) => typeof one === 'string')) return value
    throw new RootlingError('usage', `${name} is not a list of texts.`)
  }
  const { label, uses, expires } = parameters
  if (label !== undefined && typeof label !== 'string')
    throw new RootlingError('usage', 'label is not a text.')
  if (uses !== undefined && uses !== null && typeof uses !== 'number')
    throw new RootlingError('usage', 'uses is not a number.')
  if (expires !== undefined && typeof expires !== 'string')
    throw new RootlingError('usage', 'expires is not a time.')
  return {
    label,
    names: list('names'),
    preauthorized: list('preauthorized'),
    profiles: list('profiles'),
    ...(uses === undefined ? {} : { uses }),
    ...(expires === undefined ? {} : { expires: new Date(expires) }),
  }
}
