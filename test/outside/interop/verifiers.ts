import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { X509Certificate } from 'node:crypto'
import type { Identifier } from '../../../src/x509/identifier.ts'
import { pemBlocks } from '../../../src/x509/pem.ts'
import { buildGo } from '../../helpers/go-program.ts'
import type { Presented } from './kinds.ts'
import type { Finished } from '../../helpers/subprocess.ts'
import { hasTool, runTool } from '../../helpers/tools.ts'

/** Somebody else's program that judges chains. */
export interface Verifier {
  readonly name: string
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

const openssl: Verifier = {
  name: 'openssl verify -x509_strict',
  exempt: none,
  verdicts: oneByOne(async ({ identifier: { type }, asked }, files) => {
    const ask = { dns: '-verify_hostname', ip: '-verify_ip', email: '-verify_email', uri: null }
    const option = ask[type]
    const purpose = type === 'email' ? 'smimesign' : 'sslserver'
    const { exitCode, stderr } = await runTool('openssl', [
      'verify',
      '-x509_strict',
      '-no-CApath',
      '-no-CAstore',
      '-purpose',
      purpose,
      ...(option === null ? [] : [option, asked]),
      '-CAfile',
      files.root,
      '-untrusted',
      files.intermediate,
      files.leaf,
    ])
    return exitCode === 0 ? null : stderr
  }),
}

const gnutls: Verifier = {
  name: 'certtool --verify of GnuTLS',
  exempt: ({ identifier }, expected) =>
    expected === 'refused' && identifier.type === 'uri'
      ? 'GnuTLS does not hold URIs to name constraints'
      : null,
  verdicts: oneByOne(async ({ identifier: { type }, asked }, files) => {
    const option = type === 'email' ? '--verify-email' : '--verify-hostname'
    const { exitCode, stdout, stderr } = await runTool('certtool', [
      '--verify',
      `--load-ca-certificate=${files.root}`,
      `--infile=${files.chain}`,
      ...(type === 'uri' ? [] : [option, asked]),
    ])
    return exitCode === 0 ? null : stdout + stderr
  }),
}

function nss(name: string, flags: readonly string[]): Verifier {
  return {
    name,
    exempt: ({ keyType }) => (keyType === 'ed25519' ? 'NSS takes no Ed25519 keys' : null),
    verdicts(directory, chains) {
      // A database for each root, which it alone is in: making one takes longer than any verdict.
      const databases = new Map<string, Promise<string>>()
      const judge: Judge = async ({ root, intermediate, identifier: { type } }, files) => {
        const database = databases.get(root) ?? makeNssDatabase(`${files.root}.nss`, files.root)
        databases.set(root, database)
        const usage = type === 'email' ? '4' : '1'
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
async function makeNssDatabase(directory: string, root: string): Promise<string> {
  await mkdir(directory)
  const database = `sql:${directory}`
  const made = await runTool('certutil', ['-N', '-d', database, '--empty-password'])
  const trust = ['-A', '-d', database, '-n', 'root', '-t', 'CT,C,', '-i', root]
  const added = await runTool('certutil', trust)
  if (made.exitCode !== 0 || added.exitCode !== 0) throw new Error(made.stderr + added.stderr)
  return database
}

const nameTags: Record<Identifier['type'], string> = { email: '1', dns: '2', uri: '6', ip: '7' }

/** A JDK of 11 or later runs a source file uncompiled; all chains go to one process. */
function java(program: string): Verifier {
  return {
    name: `CertPathValidator of ${program.split('/').at(-3) ?? program}`,
    exempt: none,
    async verdicts(directory, chains) {
      const rows: string[] = []
      for (const [i, chain] of chains.entries()) {
        const { root, intermediate, leaf } = await writeChain(directory, String(i), chain)
        const { type, value } = chain.identifier
        // CertPathValidator knows no hosts: it is asked for the names as they stand, and its
        // selector refuses to be asked for a wildcard.
        const name = value.startsWith('*.') ? '' : type === 'dns' ? value : chain.asked
        rows.push([root, intermediate, leaf, nameTags[type], name].join('\t'))
      }
      const source = join(import.meta.dirname, 'Verify.java')
      const args = ['-Xshare:auto', '-XX:TieredStopAtLevel=1', source]
      return inLines(chains, await runTool(program, args, `${rows.join('\n')}\n`))
    },
  }
}

/** crypto/x509, as every program written in Go has it; one process for all chains. */
const go: Verifier = {
  name: 'crypto/x509 of Go',
  exempt: none,
  async verdicts(directory, chains) {
    const program = await buildGo(join(import.meta.dirname, 'verify.go'), directory)
    const rows: string[] = []
    for (const [i, chain] of chains.entries()) {
      const { root, intermediate, leaf } = await writeChain(directory, String(i), chain)
      rows.push([root, intermediate, leaf, chain.identifier.type, chain.asked].join('\t'))
    }
    return inLines(chains, await runTool(program, [], `${rows.join('\n')}\n`))
  },
}

/** What a program says of each chain: `accepted`, or the reason against it. */
function inLines(chains: readonly Presented[], { exitCode, stdout, stderr }: Finished) {
  if (exitCode !== 0) throw new Error(stderr)
  const lines = stdout.trim().split('\n')
  return chains.map((_, i) => (lines[i] === 'accepted' ? null : (lines[i] ?? 'no answer')))
}

/** Node's parser knows no chains: signatures, dates and names are all that it can be asked. */
const nodeX509: Verifier = {
  name: 'X509Certificate of Node',
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
  add(await hasTool('openssl'), 'openssl', openssl)
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
async function javaPrograms(): Promise<string[]> {
  const home = '/usr/lib/jvm'
  const entries = await readdir(home, { withFileTypes: true }).catch(() => [])
  const jdks = entries.filter((entry) => entry.isDirectory()).map(({ name }) => join(home, name))
  const programs: string[] = []
  for (const jdk of jdks)
    if ((await runTool('test', ['-x', join(jdk, 'bin/javac')])).exitCode === 0)
      programs.push(join(jdk, 'bin/java'))
  return programs
}
