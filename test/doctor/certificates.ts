import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runTool } from '../helpers/tools.ts'

interface Made {
  readonly cert: string
  readonly key: string
}

export interface Recipe {
  readonly subject?: string
  /** As `openssl genpkey` wants them. */
  readonly key?: readonly string[]
  readonly extensions?: readonly string[]
  readonly days?: number
  /** More arguments of `openssl x509 -req`, such as -sha1. */
  readonly more?: readonly string[]
  /** Signs itself. */
  readonly self?: boolean
}

/** An authority of OpenSSL's, for certificates that rootling would never sign. */
export interface Workshop {
  readonly root: string
  make(recipe?: Recipe): Promise<Made>
  remove(): Promise<void>
}

const ecKey = ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256']
/** What no client has anything against. */
export const goodExtensions = [
  'basicConstraints=critical,CA:FALSE',
  'keyUsage=critical,digitalSignature',
  'extendedKeyUsage=serverAuth',
  'subjectAltName=DNS:app.test',
  'authorityKeyIdentifier=keyid',
]

/** `constraints`: the root's nameConstraints, which are critical unless `critical` is `false`. */
export async function openWorkshop(constraints?: string, critical = true): Promise<Workshop> {
  const directory = await mkdtemp(join(tmpdir(), 'rootling-show-'))
  const path = (name: string): string => join(directory, name)
  const openssl = async (...args: string[]): Promise<void> => {
    const { exitCode, stderr } = await runTool('openssl', args)
    if (exitCode !== 0) throw new Error(`openssl ${args.join(' ')}: ${stderr}`)
  }
  let count = 0
  const sign = async (name: string, recipe: Recipe, by: string[]): Promise<Made> => {
    const { subject = '/O=Rootling tests', key = ecKey, days = 30, more = [] } = recipe
    const [keyFile, request, extensions] = [path(`${name}.key`), path('csr'), path('ext')]
    await writeFile(extensions, (recipe.extensions ?? goodExtensions).join('\n'))
    await openssl('genpkey', ...key, '-out', keyFile)
    await openssl('req', '-utf8', '-new', '-key', keyFile, '-subj', subject, '-out', request)
    await openssl(
      'x509',
      '-req',
      '-in',
      request,
      '-extfile',
      extensions,
      '-days',
      String(days),
      ...by,
      ...more,
      '-out',
      path(`${name}.crt`),
    )
    const read = (file: string) => readFile(file, 'utf8')
    return { cert: await read(path(`${name}.crt`)), key: await read(keyFile) }
  }
  const ca = [
    'basicConstraints=critical,CA:TRUE',
    'subjectKeyIdentifier=hash',
    'keyUsage=critical,keyCertSign,cRLSign',
    ...(constraints === undefined
      ? []
      : [`nameConstraints=${critical ? 'critical,' : ''}${constraints}`]),
  ]
  const own = ['-signkey', path('root.key')]
  const root = await sign('root', { subject: '/CN=Workshop root', extensions: ca }, own)
  return {
    root: root.cert,
    make(recipe = {}) {
      const name = `leaf-${count++}`
      const by = ['-CA', path('root.crt'), '-CAkey', path('root.key'), '-CAcreateserial']
      return sign(name, recipe, recipe.self === true ? ['-signkey', path(`${name}.key`)] : by)
    },
    remove: () => rm(directory, { recursive: true, force: true }),
  }
}
