import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { X509Certificate } from 'node:crypto'
import type { Identifier } from '../../../src/x509/identifier.ts'
import { pemBlocks } from '../../../src/x509/pem.ts'
import { buildGo } from '../../helpers/go-program.ts'
import { buildJava } from '../../helpers/java-program.ts'
import type { Presented, Use } from './kinds.ts'
import type { Finished } from '../../helpers/subprocess.ts'
import { hasTool, runTool } from '../../helpers/tools.ts'

/** Somebody else's program that judges chains. */
export interface Verifier {
  readonly name: string
  /** In one line, as the program says it. */
  version(): Promise<string>
  /**
   * How much the short form of a long test asks of it, since it starts a program for each chain:
   * about a few chains, or nothing; default: about all.
   */
  readonly short?: 'few' | 'none'
  /** Chains that it refuses or accepts for a reason of its own, with that reason. */
  exempt(presented: Presented, expected: 'accepted' | 'refused'): string | null
  /** In the order of the chains: `null` accepted it, otherwise what it said. */
  verdicts(directory: string, chains: readonly Presented[]): Promise<(string | null)[]>
}

interface Files {
  readonly root: string
  readonly intermediate: string
  readonly leaf: string
  readonly chain: string
}

async function writeChain(directory: string, name: string, presented: Presented): Promise<Files> {
  const path = join(directory, name)
  await mkdir(path, { recursive: true })
  const { root, intermediate, leaf } = presented
  const contents = { root, intermediate, leaf, chain: leaf + intermediate }
  const files = Object.entries(contents).map(async ([file, text]) => {
    await writeFile(join(path, `${file}.pem`), text)
    return [file, join(path, `${file}.pem`)] as const
  })
  return Object.fromEntries(await Promise.all(files)) as unknown as Files
}

type Judge = (presented: Presented, files: Files) => Promise<string | null>

function oneByOne(judge: Judge): Verifier['verdicts'] {
  return async (directory, chains) => {
    const verdicts: (string | null)[] = []
    for (const [i, chain] of chains.entries())
      verdicts.push(await judge(chain, await writeChain(directory, String(i), chain)))
    return verdicts
  }
}

const none = (): null => null

/** The first line of what a program says of its version. */
export async function versionOf(program: string, args: readonly string[]): Promise<string> {
  const { stdout, stderr } = await runTool(program, args)
  return (stdout + stderr).split('\n')[0]?.replaceAll('\t', ' ').trim() ?? ''
}

/** The purposes (extKeyUsage) as most verifiers take them. */
const purposes: Readonly<Record<Use, string>> = {
  server: '1.3.6.1.5.5.7.3.1',
  client: '1.3.6.1.5.5.7.3.2',
  code: '1.3.6.1.5.5.7.3.3',
  mail: '1.3.6.1.5.5.7.3.4',
  time: '1.3.6.1.5.5.7.3.8',
  ocsp: '1.3.6.1.5.5.7.3.9',
}

const useOf = ({ use, identifier: { type } }: Presented): Use =>
  use ?? (type === 'email' ? 'mail' : 'server')

/** OpenSSL 3.0 has none for code, so that its callers take any. */
const opensslPurposes: Readonly<Record<Use, string>> = {
  server: 'sslserver',
  client: 'sslclient',
  mail: 'smimesign',
  code: 'any',
  time: 'timestampsign',
  ocsp: 'ocsphelper',
}

/** Runs once for all chains of which the same is asked. */
function openssl(flags: readonly string[]): Verifier {
  return {
    name: ['openssl verify', ...flags].join(' '),
    version: () => versionOf('openssl', ['version']),
    short: 'few',
    exempt: none,
    async verdicts(directory, chains) {
      const questions = new Map<string, { args: string[]; leaves: string[] }>()
      const leaves: string[] = []
      for (const [i, chain] of chains.entries()) {
        const { asked, root, intermediate } = chain
        const files = await writeChain(directory, String(i), chain)
        const ask = { dns: '-verify_hostname', ip: '-verify_ip', email: '-verify_email', uri: null }
        const option = asked === '' ? null : ask[chain.identifier.type]
        const purpose = ['-purpose', opensslPurposes[useOf(chain)]]
        const name = option === null ? [] : [option, asked]
        const key = JSON.stringify([purpose, name, root, intermediate])
        const issuers = ['-CAfile', files.root, '-untrusted', files.intermediate]
        const question = questions.get(key) ?? {
          args: [...purpose, ...name, ...issuers],
          leaves: [],
        }
        questions.set(key, question)
        question.leaves.push(files.leaf)
        leaves.push(files.leaf)
      }
      const said = new Map<string, string>()
      for (const question of questions.values())
        for (const [file, reason] of await askOpenssl(
          [...flags, ...question.args],
          question.leaves,
        ))
          said.set(file, reason)
      return leaves.map((file) => {
        const reason = said.get(file) ?? 'no answer'
        return reason === 'OK' ? null : reason
      })
    },
  }
}

/** What OpenSSL says of each file: `OK`, or its reason against it. */
async function askOpenssl(args: readonly string[], files: readonly string[]) {
  const trust = ['verify', '-no-CApath', '-no-CAstore']
  const { stdout, stderr } = await runTool('openssl', [...trust, ...args, ...files])
  const said = new Map<string, string>()
  for (const line of stdout.split('\n'))
    if (line.endsWith(': OK')) said.set(line.slice(0, -4), 'OK')
  let reason = ''
  for (const line of stderr.split('\n')) {
    const file = /^error (\/.*): verification failed$/.exec(line)?.[1]
    if (file === undefined) reason += `${line}\n`
    else {
      said.set(file, reason)
      reason = ''
    }
  }
  return said
}

const gnutls: Verifier = {
  name: 'certtool --verify of GnuTLS',
  version: () => versionOf('certtool', ['--version']),
  short: 'few',
  exempt: ({ identifier }, expected) =>
    expected === 'refused' && identifier.type === 'uri'
      ? 'GnuTLS does not hold URIs to name constraints'
      : null,
  verdicts: oneByOne(async (presented, files) => {
    const { identifier, asked } = presented
    const option = identifier.type === 'email' ? '--verify-email' : '--verify-hostname'
    const { exitCode, stdout, stderr } = await runTool('certtool', [
      '--verify',
      `--load-ca-certificate=${files.root}`,
      `--infile=${files.chain}`,
      `--verify-purpose=${purposes[useOf(presented)]}`,
      ...(identifier.type === 'uri' || asked === '' ? [] : [option, asked]),
    ])
    return exitCode === 0 ? null : stdout + stderr
  }),
}

/**
 * Which of NSS's usages to ask for. It has none for time stamps, and takes code from no CA that does
 * not name that purpose itself.
 */
const nssUsages: Readonly<Record<Use, string | null>> = {
  server: '1',
  client: '0',
  mail: '4',
  code: null,
  time: null,
  ocsp: '10',
}

function nss(name: string, flags: readonly string[]): Verifier {
  return {
    name,
    version: () => versionOf('dpkg-query', ['-W', 'libnss3']),
    short: 'few',
    exempt: ({ keyType, ...rest }) =>
      keyType === 'ed25519'
        ? 'NSS takes no Ed25519 keys'
        : nssUsages[useOf({ keyType, ...rest })] === null
          ? 'vfychain has no usage for this purpose'
          : null,
    verdicts(directory, chains) {
      // A database for each root, which it alone is in: making one takes longer than any verdict.
      const databases = new Map<string, Promise<string>>()
      const judge: Judge = async (presented, files) => {
        const { root, intermediate } = presented
        const database = databases.get(root) ?? makeNssDatabase(`${files.root}.nss`, files.root)
        databases.set(root, database)
        const usage = nssUsages[useOf(presented)] ?? '1'
        // It reads one certificate from each file.
        const issuers = pemBlocks(intermediate).map(async ({ text }, i) => {
          const file = `${files.intermediate}.${i}`
          await writeFile(file, text)
          return file
        })
        const chain = [files.leaf, ...(await Promise.all(issuers))]
        const args = ['-d', await database, ...flags, '-u', usage, '-a', ...chain]
        const { exitCode, stdout, stderr } = await runTool('vfychain', args)
        return exitCode === 0 ? null : stdout + stderr
      }
      return oneByOne(judge)(directory, chains)
    },
  }
}

/** Makes a database that trusts one root; returns its name for the tools of NSS. */
export async function makeNssDatabase(directory: string, root: string): Promise<string> {
  await mkdir(directory)
  const database = `sql:${directory}`
  const made = await runTool('certutil', ['-N', '-d', database, '--empty-password'])
  const trust = ['-A', '-d', database, '-n', 'root', '-t', 'CT,C,', '-i', root]
  const added = await runTool('certutil', trust)
  if (made.exitCode !== 0 || added.exitCode !== 0) throw new Error(made.stderr + added.stderr)
  return database
}

const nameTags: Record<Identifier['type'], string> = { email: '1', dns: '2', uri: '6', ip: '7' }

/** One process for all chains. */
function java(program: string): Verifier {
  return {
    name: `CertPathValidator of ${program.split('/').at(-3) ?? program}`,
    version: () => versionOf(program, ['-version']),
    exempt: none,
    async verdicts(directory, chains) {
      const rows: string[] = []
      for (const [i, chain] of chains.entries()) {
        const { root, intermediate, leaf } = await writeChain(directory, String(i), chain)
        const { type, value } = chain.identifier
        // CertPathValidator knows no hosts: it is asked for the names as they stand, and its
        // selector refuses to be asked for a wildcard.
        const name = value.startsWith('*.') ? '' : type === 'dns' ? value : chain.asked
        const purpose = purposes[useOf(chain)]
        rows.push([root, intermediate, leaf, purpose, nameTags[type], name].join('\t'))
      }
      const args = await buildJava(join(import.meta.dirname, 'Verify.java'), program)
      return inLines(chains, await runTool(program, args, `${rows.join('\n')}\n`))
    },
  }
}

/** crypto/x509, as every program written in Go has it; one process for all chains. */
const go: Verifier = {
  name: 'crypto/x509 of Go',
  version: () => versionOf('go', ['version']),
  exempt: none,
  async verdicts(directory, chains) {
    const program = await buildGo(join(import.meta.dirname, 'verify.go'), directory)
    const rows: string[] = []
    for (const [i, chain] of chains.entries()) {
      const { root, intermediate, leaf } = await writeChain(directory, String(i), chain)
      const { identifier, asked } = chain
      rows.push([root, intermediate, leaf, useOf(chain), identifier.type, asked].join('\t'))
    }
    return inLines(chains, await runTool(program, [], `${rows.join('\n')}\n`))
  },
}

/** What a program says of each chain: `accepted`, or the reason against it. */
export function inLines(chains: readonly unknown[], { exitCode, stdout, stderr }: Finished) {
  if (exitCode !== 0) throw new Error(stderr)
  const lines = stdout.trim().split('\n')
  return chains.map((_, i) => (lines[i] === 'accepted' ? null : (lines[i] ?? 'no answer')))
}

/** Node's parser knows no chains: signatures, dates and names are all that it can be asked. */
const nodeX509: Verifier = {
  name: 'X509Certificate of Node',
  version: async () => process.version,
  exempt: (presented, expected) =>
    expected === 'refused' && presented.title.startsWith('stolen')
      ? 'X509Certificate does not read name constraints'
      : null,
  async verdicts(_, chains) {
    return chains.map(({ root, intermediate, leaf, identifier: { type }, asked }) => {
      const [anchor, issuer, subject] = [root, intermediate, leaf].map(
        (pem) => new X509Certificate(pem),
      )
      if (!anchor || !issuer || !subject) return 'unreadable'
      if (!subject.checkIssued(issuer) || !subject.verify(issuer.publicKey)) return 'leaf'
      if (!issuer.checkIssued(anchor) || !issuer.verify(anchor.publicKey)) return 'intermediate'
      const now = Date.now()
      if (Date.parse(subject.validTo) < now || Date.parse(subject.validFrom) > now) return 'dates'
      const checks = {
        dns: () => subject.checkHost(asked),
        ip: () => subject.checkIP(asked),
        email: () => subject.checkEmail(asked),
        uri: () => subject.subjectAltName?.includes(`URI:${asked}`),
      }
      return checks[type]() ? null : 'name'
    })
  },
}

/** Every verifier of this machine, and the names of those that it lacks. */
export async function findVerifiers(): Promise<{ found: Verifier[]; missing: string[] }> {
  const found: Verifier[] = [nodeX509]
  const missing: string[] = []
  const add = (has: boolean, missed: string, ...verifiers: Verifier[]): void => {
    if (has) found.push(...verifiers)
    else missing.push(missed)
  }
  add(await hasTool('openssl'), 'openssl', openssl([]), openssl(['-x509_strict']))
  add(await hasTool('certtool'), 'certtool of gnutls-bin', gnutls)
  add(
    (await hasTool('vfychain')) && (await hasTool('certutil')),
    'vfychain and certutil of libnss3-tools',
    nss('vfychain of NSS', []),
    nss('vfychain -pp of NSS, by libpkix', ['-pp']),
  )
  add(await hasTool('go'), 'go of golang-go', go)
  const jdks = await javaPrograms()
  add(jdks.length > 0, 'a JDK', ...jdks.map(java))
  return { found, missing }
}

/** One `java` for each JDK: links to the same directory count once. */
export async function javaPrograms(): Promise<string[]> {
  const home = '/usr/lib/jvm'
  const entries = await readdir(home, { withFileTypes: true }).catch(() => [])
  const jdks = entries.filter((entry) => entry.isDirectory()).map(({ name }) => join(home, name))
  const programs: string[] = []
  for (const jdk of jdks)
    if ((await runTool('test', ['-x', join(jdk, 'bin/javac')])).exitCode === 0)
      programs.push(join(jdk, 'bin/java'))
  return programs
}
