/** A program that makes TLS connections, with a way to ask it whom it trusts. */
export interface Runtime {
  readonly name: string
  readonly program: string
  /** The arguments that fetch a URL and exit with 0 where the certificate is trusted. */
  readonly args: (url: string) => readonly string[]
  /** What `rootling run` or the person sets so that it trusts the root. */
  readonly variable: string
  /** The exit code by which the program says that it lacks a part of itself; default: none. */
  readonly lacking?: number
}

const runtime = (
  name: string,
  program: string,
  variable: string,
  args: Runtime['args'],
  lacking?: number,
): Runtime => ({ name, program, variable, args, ...(lacking === undefined ? {} : { lacking }) })

const node = 'NODE_EXTRA_CA_CERTS'
const openssl = 'SSL_CERT_FILE'

const fetching = (url: string): string =>
  `fetch(${JSON.stringify(url)}).then(()=>process.exit(0),e=>{console.error(String(e.cause??e));process.exit(1)})`

/** One row for each; each exits as curl does, with 0 only where it trusts the server. */
export const runtimes: readonly Runtime[] = [
  runtime('Node', 'node', node, (url) => ['-e', fetching(url)]),
  runtime('Deno', 'deno', 'DENO_CERT', (url) => [
    'eval',
    `try { await (await fetch(${JSON.stringify(url)})).text() } catch (e) { console.error(String(e)); Deno.exit(1) }`,
  ]),
  runtime('Bun', 'bun', node, (url) => ['-e', fetching(url)]),
  runtime('Python', 'python3', openssl, (url) => [
    '-c',
    'import sys, urllib.request as r\nr.build_opener(r.ProxyHandler({})).open(sys.argv[1], timeout=5)',
    url,
  ]),
  runtime(
    'Python’s requests',
    'python3',
    'REQUESTS_CA_BUNDLE',
    (url) => [
      '-c',
      'import sys\ntry:\n  import requests\nexcept ImportError: sys.exit(77)\nrequests.get(sys.argv[1], timeout=5)',
      url,
    ],
    77,
  ),
  runtime('curl', 'curl', openssl, (url) => ['-sS', '--noproxy', '*', '-o', '/dev/null', url]),
  runtime('wget', 'wget', openssl, (url) => [
    '-nv',
    '--no-proxy',
    '--tries=1',
    '-O',
    '/dev/null',
    url,
  ]),
  runtime('git', 'git', 'GIT_SSL_CAINFO', (url) => ['-c', 'http.proxy=', 'ls-remote', url]),
  runtime('Ruby', 'ruby', openssl, (url) => [
    '-e',
    'require "net/http"; Net::HTTP.start(*URI(ARGV[0]).then { |u| [u.host, u.port, nil] }, use_ssl: true) {}',
    url,
  ]),
  runtime('PHP', 'php', openssl, (url) => [
    '-r',
    'set_error_handler(fn($number, $text) => fwrite(STDERR, "$text\\n") || true); exit(file_get_contents($argv[1]) === false ? 1 : 0);',
    url,
  ]),
]

/**
 * Returns why a program did not trust a server, as a sentence from what it wrote: the first line that
 * is about a certificate, without the places in the program's code, or else the last line, at most
 * 200 characters. Empty: it wrote nothing.
 */
export function complaintIn(text: string): string {
  const lines = text.split('\n').map((line) => line.trim())
  const written = lines.filter((line) => line !== '' && !/^(?:from|at) /.test(line))
  const about = written.findIndex((line) => /certificat|issuer|self[- ]signed/i.test(line))
  const line = written.at(about) ?? ''
  // The reason is on the next line.
  const whole = line.endsWith(':') ? `${line} ${written[about + 1] ?? ''}`.trim() : line
  const [, reason] = /certificate verify failed(?:: | \()([\w' -]+)/i.exec(whole) ?? []
  const said = reason === undefined ? withoutPlace(whole) : `certificate verify failed: ${reason}`
  const short = said.trim().slice(0, 200)
  return short === '' || /[.!?]$/.test(short) ? short : `${short}.`
}

/** Leaves out where in Ruby's code, or that of curl, a line comes from. */
const withoutPlace = (line: string): string =>
  line.replace(/^(?:\S+:\d+:in \S+ |curl: \(\d+\) )/, '')
