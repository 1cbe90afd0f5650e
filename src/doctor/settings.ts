import { join } from 'node:path'
import { variables } from '../runtimes/variables.ts'

type Environment = Readonly<Record<string, string | undefined>>

/** A variable that names roots. */
interface RootVariable {
  readonly name: string
  /** Whether the roots that it names are added to the others; else they replace them. */
  readonly adds: boolean
  readonly programs: string
  /** Whether its programs read a directory too. */
  readonly directories?: true
  /** Whether it holds several paths, with colons between. */
  readonly list?: true
}

/** The variables whose programs read the file by Python's requests, which takes directories too. */
const ofRequests: ReadonlySet<string> = new Set(['REQUESTS_CA_BUNDLE', 'PIP_CERT'])

/** Every variable that names roots, with the programs that read it. */
export const rootVariables: readonly RootVariable[] = [
  ...variables
    .filter(({ value }) => value === undefined)
    .map(({ name, effect, programs }) => ({
      name,
      adds: effect === 'adds',
      programs,
      ...(ofRequests.has(name) ? ({ directories: true } as const) : {}),
    })),
  { name: 'DENO_CERT', adds: true, programs: 'Deno' },
  {
    name: 'SSL_CERT_DIR',
    adds: false,
    programs: 'OpenSSL, Go and others',
    directories: true,
    list: true,
  },
  { name: 'BUNDLE_SSL_CA_CERT', adds: false, programs: 'Bundler', directories: true },
  { name: 'HEX_CACERTS_PATH', adds: false, programs: 'Hex and Mix' },
  { name: 'HTTPLIB2_CA_CERTS', adds: false, programs: 'Python programs that use httplib2' },
]

/**
 * Whether programs that a variable adds roots for read the roots of the system too, and so need no
 * file: Node and Deno do where a variable asks for that.
 */
export function readsSystemStore(name: string, env: Environment): boolean {
  if (name === 'DENO_CERT') return (env['DENO_TLS_CA_STORE'] ?? '').split(',').includes('system')
  return (
    env['NODE_USE_SYSTEM_CA'] === '1' ||
    /--use-(?:system|openssl)-ca/.test(env['NODE_OPTIONS'] ?? '')
  )
}

/** The files and directories in which systems keep the roots that all programs trust. */
export const systemRoots: ReadonlySet<string> = new Set([
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/ssl/certs',
  '/etc/ssl/cert.pem',
  '/etc/ssl/ca-bundle.pem',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/pki/tls/cert.pem',
  '/etc/pki/tls/certs',
  '/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem',
  '/etc/ca-certificates/extracted/tls-ca-bundle.pem',
  '/var/lib/ca-certificates/ca-bundle.pem',
])

/** Variables that switch verification off, where they have such a value. */
export const switches = [
  { name: 'NODE_TLS_REJECT_UNAUTHORIZED', value: /^0$/, program: 'Node' },
  { name: 'GIT_SSL_NO_VERIFY', value: /^(?:1|true|yes|on)$/i, program: 'git' },
  { name: 'PYTHONHTTPSVERIFY', value: /^0$/, program: 'Python' },
  { name: 'npm_config_strict_ssl', value: /^false$/, program: 'npm' },
  { name: 'NPM_CONFIG_STRICT_SSL', value: /^false$/, program: 'npm' },
  { name: 'YARN_ENABLE_STRICT_SSL', value: /^(?:0|false)$/, program: 'Yarn' },
  { name: 'PERL_LWP_SSL_VERIFY_HOSTNAME', value: /^0$/, program: 'Perl’s LWP' },
] as const

interface Places {
  readonly env: Environment
  readonly home: string
  readonly cwd: string | null
}

/** What a settings file says of roots and of verification. */
interface Settings {
  /** The settings that replace the roots, with the file that each names. */
  readonly roots: readonly { readonly setting: string; readonly value: string }[]
  /** The settings that switch verification off, as they stand in the file. */
  readonly off: readonly string[]
}

/** A kind of settings file that can replace roots or switch verification off. */
export interface SettingsFile {
  readonly program: string
  readonly places: (places: Places) => readonly string[]
  readonly read: (text: string) => Settings
}

/**
 * Returns the lines of a text. A CR alone ends one too: `.` of a regular expression does not match
 * it, and a long line with one inside would take the patterns below minutes.
 */
const linesOf = (text: string): string[] => text.split(/\r\n?|\n/)

/** Returns a reader of lines `NAME = VALUE`. */
const assignments =
  (roots: RegExp, off: RegExp, comment = /^\s*[#;]/) =>
  (text: string): Settings => {
    const lines = linesOf(text).filter((line) => !comment.test(line))
    return {
      roots: lines.flatMap((line) => {
        const match = roots.exec(line)
        const value = match?.[2]?.trim() ?? ''
        return value === '' ? [] : [{ setting: match?.[1] ?? '', value }]
      }),
      off: lines.filter((line) => off.test(line)).map((line) => line.trim()),
    }
  }

/** Returns the lines of the sections of an INI file that a pattern selects. */
function section(text: string, wanted: RegExp): string {
  let inside = false
  const kept: string[] = []
  for (const line of linesOf(text)) {
    if (/^\s*\[/.test(line)) inside = wanted.test(line)
    else if (inside) kept.push(line)
  }
  return kept.join('\n')
}

const below = (cwd: string | null, ...names: readonly string[]): string[] =>
  cwd === null ? [] : names.map((name) => join(cwd, name))

const gitLines = assignments(
  /^\s*(sslCAInfo)\s*=\s*(.*)$/i,
  /^\s*sslVerify\s*=\s*(?:false|no|off|0)\s*$/i,
)

/** The settings files, one row for each program. */
export const settingsFiles: readonly SettingsFile[] = [
  {
    program: 'npm',
    places: ({ env, home, cwd }) => [
      env['NPM_CONFIG_USERCONFIG'] || env['npm_config_userconfig'] || join(home, '.npmrc'),
      ...below(cwd === home ? null : cwd, '.npmrc'),
    ],
    read: assignments(/^\s*(cafile)\s*=\s*(.*)$/, /^\s*strict-ssl\s*=\s*"?false"?\s*$/),
  },
  {
    program: 'pip',
    places: ({ env, home }) => [
      ...(env['PIP_CONFIG_FILE'] === undefined ? [] : [env['PIP_CONFIG_FILE']]),
      join(env['XDG_CONFIG_HOME'] || join(home, '.config'), 'pip/pip.conf'),
      join(home, '.pip/pip.conf'),
      '/etc/pip.conf',
    ],
    read: assignments(/^\s*(cert)\s*[=:]\s*(.*)$/, /^(?!)/),
  },
  {
    program: 'git',
    places: ({ env, home, cwd }) => [
      env['GIT_CONFIG_GLOBAL'] || join(home, '.gitconfig'),
      join(env['XDG_CONFIG_HOME'] || join(home, '.config'), 'git/config'),
      '/etc/gitconfig',
      ...below(cwd, '.git/config'),
    ],
    // Roots for one site alone replace nothing for the others.
    read: (text) => ({
      roots: gitLines(section(text, /^\s*\[\s*http\s*\]/i)).roots,
      off: gitLines(section(text, /^\s*\[\s*http[\s\]]/i)).off,
    }),
  },
  {
    program: 'curl',
    places: ({ env, home }) => [
      join(env['CURL_HOME'] || home, '.curlrc'),
      join(env['XDG_CONFIG_HOME'] || join(home, '.config'), 'curlrc'),
    ],
    read: assignments(
      /^\s*(?:--)?(cacert|capath)(?:\s*[=:]\s*|\s+)(.*)$/,
      /^\s*(?:(?:--)?insecure|-k)\s*$/,
    ),
  },
  {
    program: 'wget',
    places: ({ env, home }) => [env['WGETRC'] || join(home, '.wgetrc')],
    read: assignments(/^(?!)/, /^\s*check[_-]?certificate\s*=\s*off\s*$/i),
  },
  {
    program: 'cargo',
    places: ({ env, home }) =>
      ['config.toml', 'config'].map((name) =>
        join(env['CARGO_HOME'] || join(home, '.cargo'), name),
      ),
    read: (text) =>
      assignments(/^\s*(cainfo)\s*=\s*(.*)$/, /^(?!)/)(section(text, /^\s*\[\s*http\s*\]/)),
  },
]
