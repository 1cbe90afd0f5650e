import { existsSync, readFileSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { ensureAuthority } from '../../../src/authority/create.ts'
import { openScope, type Scope } from '../../../src/authority/scope.ts'
import type { StateDirectory } from '../../../src/home/state-directory.ts'
import { randomSerialNumber, type Signer } from '../../../src/x509/certificate.ts'
import { parseIdentifier } from '../../../src/x509/identifier.ts'
import { generateKeys } from '../../../src/x509/keys.ts'
import { encodePem } from '../../../src/x509/pem.ts'
import { day, leafValidity, signClientLeaf, signServerLeaf } from '../../../src/x509/profiles.ts'
import { parseSubject } from '../../../src/x509/subject.ts'
import { builtPrograms, project } from '../../helpers/built.ts'
import { scrubbedEnvironment } from '../../helpers/scrubbed.ts'
import { run, type Finished } from '../../helpers/subprocess.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'
import { stolenSigner } from '../adversary/forgeries.ts'

const interop = readFileSync(join(project, 'docs/interop.md'), 'utf8')

/** Returns the code blocks of a section of docs/interop.md, in their order. */
export function recipe(section: string): string[] {
  const [, text = ''] = `${interop}\n## `.split(`\n## ${section}\n`)
  const [own = ''] = text.split('\n## ')
  const blocks = [...own.matchAll(/^```\w+\n(.*?)^```$/gms)].map(([, code = '']) => code)
  if (blocks.length === 0) throw new Error(`docs/interop.md has no recipe for ${section}`)
  return blocks
}

/** Why a test cannot run here: the first of the files that is not there; `null`: none. */
export function missing(...files: string[]): string | null {
  const absent = files.find((file) => !existsSync(file))
  return absent === undefined ? null : `${absent} is not installed`
}

/** A home with an authority that nothing trusts. `~/tls` has the files that docs/interop.md names. */
export interface InteropWorld {
  readonly home: string
  readonly state: StateDirectory
  readonly env: Record<string, string>
  /** Returns the path of a file in `~/tls`. */
  tls(name: string): string
  /** Runs lines of bash in the home, where `rootling` is the built command. */
  bash(this: void, script: string): Promise<Finished>
  /** Runs lines of bash as `bash` does; returns their output, and throws when one of them fails. */
  shell(this: void, script: string): Promise<string>
  scope(name: string): Promise<Scope>
}

/** Opens such a home, deleted after the tests of the file. */
export async function openInteropWorld(): Promise<InteropWorld> {
  const home = await temporaryDirectory()
  const state = { path: join(home, 'state'), owner: null }
  await ensureAuthority(state, new Date())
  await mkdir(join(home, 'tls'))
  const env = scrubbedEnvironment(home, { ROOTLING_HOME: state.path })
  env['PATH'] = `${dirname(builtPrograms().rootling)}:${env['PATH']}`
  const bash: InteropWorld['bash'] = (script) =>
    run('bash', ['--norc', '-euc', `cd ~\n${script}`], env)
  const shell: InteropWorld['shell'] = async (script) => {
    const { exitCode, stdout, stderr } = await bash(script)
    if (exitCode !== 0) throw new Error(`${script}\n${stdout}${stderr}`)
    return stdout.trim()
  }
  await shell(recipe('The files').join(''))
  return {
    home,
    state,
    env,
    tls: (name) => join(home, 'tls', name),
    bash,
    shell,
    scope: (name) => openScope(state, name),
  }
}

/** The paths of a certificate with its chain and of its key, PEM. */
export interface PairFiles {
  readonly cert: string
  readonly key: string
}

/**
 * Signs a client certificate with the stolen key of a server scope's intermediate, for an
 * administrator of Kubernetes. `names`: its subjectAltName.
 */
export async function forgeClient(
  world: InteropWorld,
  file: string,
  names: readonly string[],
): Promise<PairFiles> {
  const subject = parseSubject('CN=alice,O=system:masters')
  return forge(world, { file, names, scopeName: 'local' }, (fields, signer) =>
    signClientLeaf({ ...fields, subject }, signer),
  )
}

/** Signs a server certificate with the stolen key of the client scope's intermediate. */
export async function forgeServer(
  world: InteropWorld,
  file: string,
  names: readonly string[],
): Promise<PairFiles> {
  return forge(world, { file, names, scopeName: 'clients' }, signServerLeaf)
}

async function forge(
  { state, tls, scope }: InteropWorld,
  { file, names, scopeName }: { file: string; names: readonly string[]; scopeName: string },
  sign: (fields: Parameters<typeof signServerLeaf>[0], signer: Signer) => Promise<Buffer>,
): Promise<PairFiles> {
  const now = new Date()
  const stolen = await scope(scopeName)
  const { spki, pkcs8 } = await generateKeys('p256')
  const validity = leafValidity(now, 30, new Date(now.getTime() + 100 * day))
  const identifiers = names.map(parseIdentifier)
  const leaf = await sign(
    { serialNumber: randomSerialNumber(), spki, rsa: false, identifiers, ...validity },
    await stolenSigner(state, stolen),
  )
  const files = { cert: tls(`${file}.pem`), key: tls(`${file}-key.pem`) }
  await writeFile(files.cert, encodePem('CERTIFICATE', leaf) + stolen.intermediate.toString())
  await writeFile(files.key, encodePem('PRIVATE KEY', pkcs8), { mode: 0o600 })
  return files
}
