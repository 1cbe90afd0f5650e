import type { Namespace } from '../../helpers/namespace.ts'
import type { Finished } from '../../helpers/subprocess.ts'
import { notInstalled, unexpected } from './client.ts'
import type { Client, Verdict } from './client.ts'

/** A client that is one run of one program for each URL. */
export interface Tool {
  readonly name: string
  readonly program: string
  readonly args: (url: URL) => readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** Why it cannot run although its program is there; `null`: it can. */
  readonly lacks?: () => Promise<string | null>
  /** `true` trusted, `false` refused for its certificate, `null` neither. */
  readonly judge: (finished: Finished) => boolean | null
  /** For the programs that only speak TLS: what to send them, and where the answer begins. */
  readonly speaksOnlyTls?: true
}

const pythonFetch = `
import ssl, sys, urllib.error, urllib.request
opener = urllib.request.build_opener(
    urllib.request.HTTPSHandler(context=ssl.create_default_context()))
try:
    sys.stdout.write(opener.open(sys.argv[1], timeout=200).read().decode())
except urllib.error.URLError as error:
    print(error.reason, file=sys.stderr)
    sys.exit(60 if isinstance(error.reason, ssl.SSLCertVerificationError) else 1)
`

export const nodeFetch = `
const { get } = require('node:https')
// Node has no code of its own for a name constraint, only the sentence of OpenSSL; the second is
// for a name that OpenSSL cannot hold to a constraint.
const refused =
  /^(UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|CERT_|ERR_TLS_CERT_|UNSPECIFIED (\\w+ subtree violation|unsupported or invalid name syntax))/
get(process.argv[1], { timeout: 200_000 }, (response) => response.pipe(process.stdout)).on(
  'error',
  (error) => {
    console.error(error.code, error.message)
    process.exitCode = refused.test(error.code + ' ' + error.message) ? 60 : 1
  },
)
`

/** curl's exit code for "peer certificate cannot be authenticated"; our scripts use it too. */
export const by60 = ({ exitCode }: Finished) =>
  exitCode === 0 ? true : exitCode === 60 ? false : null

const tools: readonly Tool[] = [
  {
    name: 'curl',
    program: 'curl',
    args: (url) => ['--silent', '--show-error', '--max-time', '20', url.href],
    judge: by60,
  },
  {
    name: 'wget',
    program: 'wget',
    args: (url) => ['--quiet', '--tries=1', '--timeout=200', '--output-document=-', url.href],
    // wget(1), EXIT STATUS: 5 is "SSL verification failure".
    judge: ({ exitCode }) => (exitCode === 0 ? true : exitCode === 5 ? false : null),
  },
  {
    // By its full path: a version manager's Python in PATH may bring an OpenSSL of its own.
    name: 'python',
    program: '/usr/bin/python3',
    args: (url) => ['-I', '-c', pythonFetch, url.href],
    judge: by60,
  },
  {
    name: 'openssl s_client',
    program: 'openssl',
    args: (url) => {
      const connect = ['s_client', '-quiet', '-verify_return_error', '-connect', url.host]
      const host = hostOf(url)
      return isAddress(url)
        ? [...connect, '-noservername', '-verify_ip', host]
        : [...connect, '-servername', host, '-verify_hostname', host]
    },
    judge: ({ stdout, stderr }) =>
      /^HTTP\/1\.1 200 /m.test(stdout) ? true : /verify error:num=/.test(stderr) ? false : null,
    speaksOnlyTls: true,
  },
  {
    name: 'gnutls-cli',
    program: 'gnutls-cli',
    args: (url) => ['--port', url.port || '443', hostOf(url)],
    judge: ({ stdout, stderr }) =>
      /^HTTP\/1\.1 200 /m.test(stdout)
        ? true
        : /The certificate is NOT trusted/.test(stdout + stderr)
          ? false
          : null,
    speaksOnlyTls: true,
  },
  {
    // An answer that is no repository is an answer all the same: the handshake went through.
    name: 'git',
    program: 'git',
    args: (url) => ['ls-remote', url.href],
    judge: ({ exitCode, stderr }) =>
      exitCode === 0 || /not valid: is this a git repository|repository .* not found/.test(stderr)
        ? true
        : /certificate verification failed|server verification failed: certificate|SSL certificate problem|SSL: .* match/.test(
              stderr,
            )
          ? false
          : null,
  },
  {
    // The node of nodejs.org has no directory of its own that exists, so it gets the system's.
    name: 'node --use-openssl-ca',
    program: process.execPath,
    args: (url) => ['--use-openssl-ca', '-e', nodeFetch, url.href],
    env: { SSL_CERT_DIR: '/etc/ssl/certs' },
    judge: by60,
  },
]

/** The clients that are one program run for each URL; see `Client`. */
export const toolClients: readonly Client[] = tools.map(toolClient)

export function toolClient(tool: Tool): Client {
  return {
    name: tool.name,
    unavailable: async () => (await notInstalled(tool.program)) ?? tool.lacks?.() ?? null,
    open: async (namespace) => ({
      fetch: (url) => fetchOnce(tool, namespace, new URL(url)),
      close: async () => {},
    }),
  }
}

async function fetchOnce(tool: Tool, namespace: Namespace, url: URL): Promise<Verdict> {
  const request = `GET ${url.pathname} HTTP/1.1\r\nHost: ${url.host}\r\nConnection: close\r\n\r\n`
  const finished = await namespace.run(tool.program, tool.args(url), {
    timeout: 300_000,
    ...(tool.env ? { env: tool.env } : {}),
    ...(tool.speaksOnlyTls ? { input: request } : {}),
  })
  const { stdout, stderr } = finished
  const trusted = tool.judge(finished)
  if (trusted === null) throw unexpected(tool.name, url.href, `${stdout}\n${stderr}`)
  if (!trusted) return { trusted, reason: stderr.trim() || stdout.trim() }
  return { trusted, body: tool.speaksOnlyTls ? bodyOf(stdout) : stdout }
}

/** The body of an HTTP answer between the messages of the program that only spoke TLS. */
function bodyOf(output: string): string {
  const body = output.slice(output.indexOf('\r\n\r\n', output.search(/^HTTP/m)) + 4)
  return body.replace(/- Peer has closed the GnuTLS connection\s*$/, '')
}

/** The host without the brackets that a URL puts around an IPv6 address. */
function hostOf(url: URL): string {
  return url.hostname.replace(/^\[(.*)\]$/, '$1')
}

function isAddress(url: URL): boolean {
  return url.hostname.startsWith('[') || /^[\d.]+$/.test(url.hostname)
}
