import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { scrubbedEnvironment } from '../../helpers/scrubbed.ts'
import { run, type Finished } from '../../helpers/subprocess.ts'

/** A directory of one test, with a state directory and a home of its own. */
export interface Place {
  readonly path: string
  /** Runs a program there; no trust store is known by it, since HOME is empty. */
  run(
    program: string,
    args: readonly string[],
    env?: Readonly<Record<string, string>>,
  ): Promise<Finished>
  /** OpenSSL, which must succeed. Arguments by words. */
  openssl(args: string): Promise<string>
  read(name: string): string
  write(name: string, text: string): void
}

export function openPlace(): Place {
  const path = mkdtempSync(join(tmpdir(), 'rootling-adopt-'))
  onTestFinished(() => rmSync(path, { recursive: true }))
  const place: Place = {
    path,
    run: (program, args, env = {}) => {
      const environment = { ROOTLING_HOME: join(path, 'state'), ...env }
      return run(
        'env',
        [`--chdir=${path}`, program, ...args],
        scrubbedEnvironment(path, environment),
      )
    },
    async openssl(args) {
      const { exitCode, stdout, stderr } = await place.run('openssl', args.trim().split(/\s+/))
      if (exitCode !== 0) throw new Error(`openssl ${args}: ${stderr}`)
      return stdout
    },
    read: (name) => readFileSync(join(path, name), 'utf8'),
    write: (name, text) => writeFileSync(join(path, name), text, { mode: 0o600 }),
  }
  return place
}

export type Algorithm = 'ec' | 'rsa'

/** Writes NAME.pem, a root, and NAME.key, its key as PKCS #8, by OpenSSL; `extension`: one more. */
export async function makeRoot(
  place: Place,
  name: string,
  algorithm: Algorithm = 'ec',
  extension?: string,
): Promise<void> {
  const key = algorithm === 'ec' ? 'ec -pkeyopt ec_paramgen_curve:P-256' : 'rsa:2048'
  await place.openssl(`
    req -x509 -newkey ${key} -nodes -days 30 -subj /CN=${name} -keyout ${name}.key
    -out ${name}.pem -addext basicConstraints=critical,CA:TRUE
    -addext keyUsage=critical,keyCertSign,cRLSign
    ${extension === undefined ? '' : `-addext ${extension}`}`)
}

/** Writes NAME.pem and NAME.key, signed by a root of `makeRoot`; `ca`: an intermediate. */
export async function makeSigned(
  place: Place,
  name: string,
  root: string,
  ca: boolean,
): Promise<void> {
  await place.openssl(`
    req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=${name}
    -keyout ${name}.key -out ${name}.pem -CA ${root}.pem -CAkey ${root}.key
    -addext basicConstraints=critical,CA:${ca ? 'TRUE' : 'FALSE'}`)
}
