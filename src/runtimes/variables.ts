import { join } from 'node:path'
import { textAt } from './text-at.ts'

export type Environment = Readonly<Record<string, string | undefined>>

/**
 * A variable of the environment that makes programs trust our roots. What each does was tried with
 * the programs that it names: test/outside/interop/runtimes.machine.test.ts.
 */
export interface Variable {
  readonly name: string
  /**
   * `adds`: programs trust our roots beside the others. `replaces`: programs trust what the file
   * holds and nothing else, and may trust nobody where it is missing; so the file holds the roots of
   * the system too.
   */
  readonly effect: 'adds' | 'replaces'
  readonly programs: string
  /** Returns the value, given the one before; `null`: it stays. Absent: the value is a file. */
  readonly value?: (before: string) => string | null
  /** Whether to set the variable at all; default: yes. */
  readonly where?: (env: Environment) => boolean
}

/** A variable that few people set, and that counts before the others where they do. */
const whereSet =
  (name: string) =>
  (env: Environment): boolean =>
    (env[name] ?? '') !== ''

/** Every variable that is set, in the order in which they are printed. */
export const variables: readonly Variable[] = [
  { name: 'NODE_EXTRA_CA_CERTS', effect: 'adds', programs: 'Node, npm, Bun, Deno' },
  {
    // NODE_OPTIONS=--use-system-ca would stop Node 20 at once.
    name: 'NODE_USE_SYSTEM_CA',
    effect: 'adds',
    programs: 'Node 22.19, 24.6 and later',
    value: (before) => (before === '' ? '1' : null),
  },
  {
    // DENO_CERT is not used: Deno stops where its file is missing.
    name: 'DENO_TLS_CA_STORE',
    effect: 'adds',
    programs: 'Deno',
    value(before) {
      if (before === '') return 'system,mozilla'
      return before.split(',').includes('system') ? null : `${before},system`
    },
  },
  {
    name: 'SSL_CERT_FILE',
    effect: 'replaces',
    programs: 'OpenSSL, Python, Ruby, PHP, Go, curl, httpx, cargo, redis-cli',
  },
  { name: 'REQUESTS_CA_BUNDLE', effect: 'replaces', programs: 'Python’s requests' },
  { name: 'CURL_CA_BUNDLE', effect: 'replaces', programs: 'curl' },
  { name: 'PIP_CERT', effect: 'replaces', programs: 'pip' },
  { name: 'CARGO_HTTP_CAINFO', effect: 'replaces', programs: 'cargo' },
  { name: 'PERL_LWP_SSL_CA_FILE', effect: 'replaces', programs: 'Perl’s LWP' },
  {
    name: 'GIT_SSL_CAINFO',
    effect: 'replaces',
    programs: 'git',
    // It counts before the roots that a configuration file names.
    where: (env) => whereSet('GIT_SSL_CAINFO')(env) || !gitConfigNamesRoots(env),
  },
  {
    name: 'PGSSLROOTCERT',
    effect: 'replaces',
    programs: 'psql and all that uses libpq',
    // With this file there, libpq checks certificates in its other modes too, so connections to a
    // database with a certificate of its own making would fail. `system` is no file.
    where: (env) =>
      env['PGSSLROOTCERT'] !== 'system' &&
      (whereSet('PGSSLROOTCERT')(env) || env['PGSSLMODE']?.startsWith('verify-') === true),
  },
  {
    name: 'GRPC_DEFAULT_SSL_ROOTS_FILE_PATH',
    effect: 'replaces',
    programs: 'gRPC: grpcio, @grpc/grpc-js',
    // @grpc/grpc-js would no longer trust the roots that NODE_EXTRA_CA_CERTS named before.
    where: (env) =>
      whereSet('GRPC_DEFAULT_SSL_ROOTS_FILE_PATH')(env) || !whereSet('NODE_EXTRA_CA_CERTS')(env),
  },
  ...['NIX_SSL_CERT_FILE', 'AWS_CA_BUNDLE', 'HTTPS_CA_FILE', 'npm_config_cafile'].map(
    (name): Variable => ({
      name,
      effect: 'replaces',
      programs: 'those that it was set for',
      where: whereSet(name),
    }),
  ),
]

/** Whether the person’s configuration of git names roots of its own. */
function gitConfigNamesRoots(env: Environment): boolean {
  const home = env['HOME'] ?? ''
  const config = env['XDG_CONFIG_HOME'] || join(home, '.config')
  return [join(home, '.gitconfig'), join(config, 'git/config')].some((file) =>
    namesRoots(textAt(file)),
  )
}

/** Whether the text of a configuration of git names roots. */
export const namesRoots = (text: string): boolean => /^[ \t]*sslca(?:info|path)\b/im.test(text)
