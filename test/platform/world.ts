import { execFileSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createMachine, type Machine } from '../../platform/machine.ts'
import { createAnchor } from '../../platform/pem.ts'
import type { TrustAnchor } from '../../platform/trust-store.ts'

/** The environment of a client that proves trust: nothing in it names a bundle. */
export const cleanEnv = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' }

/** Runs a program of the system and returns what it printed; throws on any exit code but 0. */
export function sh(program: string, args: readonly string[], input = ''): string {
  return execFileSync(program, args, { input, env: cleanEnv, encoding: 'utf8', stdio: 'pipe' })
}

/** Whether a program of the system ended with exit code 0. */
export function succeeds(program: string, args: readonly string[]): boolean {
  try {
    sh(program, args)
    return true
  } catch {
    return false
  }
}

const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
const ca = ['-addext', 'basicConstraints=critical,CA:true']

/** A root made by OpenSSL, whose key nobody keeps. */
export function makeAnchor(): TrustAnchor {
  const subject = ['-subj', '/O=Rootling test/CN=A root for tests', '-days', '9']
  const pem = sh('openssl', ['req', '-x509', ...key, '-keyout', '/dev/null', ...subject, ...ca])
  return createAnchor(new X509Certificate(pem).raw)
}

export interface TestRoot {
  readonly anchor: TrustAnchor
  /** A file with a leaf that the root issued. */
  readonly leaf: string
}

/** A root made by OpenSSL, of the given subject, and a leaf below it: files that stay. */
export function makeRoot(subject = '/O=Rootling test/CN=A root for tests'): TestRoot {
  const directory = mkdtempSync(path.join(tmpdir(), 'root-'))
  const at = (name: string) => path.join(directory, name)
  const x509 = ['req', '-x509', ...key, '-days', '9']
  sh('openssl', [...x509, '-keyout', at('ca.key'), '-out', at('ca.pem'), '-subj', subject, ...ca])
  const issuer = ['-CA', at('ca.pem'), '-CAkey', at('ca.key')]
  const leaf = ['-subj', '/CN=leaf', '-addext', 'basicConstraints=CA:false']
  sh('openssl', [...x509, ...issuer, '-keyout', at('leaf.key'), '-out', at('leaf.pem'), ...leaf])
  const { raw } = new X509Certificate(readFileSync(at('ca.pem')))
  return { anchor: createAnchor(raw), leaf: at('leaf.pem') }
}

/** A machine whose person has an empty home. */
export async function makeMachine(
  env: Record<string, string> = {},
): Promise<{ machine: Machine; home: string }> {
  const home = mkdtempSync(path.join(tmpdir(), 'home-'))
  return { machine: await createMachine({ env: { ...cleanEnv, HOME: home, ...env } }), home }
}

/** A file's parent, made. */
export function parentOf(file: string): string {
  mkdirSync(path.dirname(file), { recursive: true })
  return file
}

/** Every path below the directories, with the targets of links; contents are not looked at. */
export function snapshot(directories: readonly string[]): string[] {
  return directories.flatMap((directory) => {
    let entries
    try {
      entries = readdirSync(directory, { withFileTypes: true })
    } catch {
      return []
    }
    return entries
      .flatMap((entry) => {
        const file = path.join(directory, entry.name)
        if (entry.isSymbolicLink()) return [`${file} -> ${readlinkSync(file)}`]
        return entry.isDirectory() ? [file, ...snapshot([file])] : [file]
      })
      .toSorted()
  })
}
