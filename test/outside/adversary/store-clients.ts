import { mkdtemp, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { buildGo } from '../../helpers/go-program.ts'
import { runTool } from '../../helpers/tools.ts'
import { command } from '../../helpers/built.ts'
import { by60, nodeFetch, toolClient } from '../e2e/client-tools.ts'
import { notInstalled, type Client } from '../e2e/client.ts'

// Clients beside those of `everyClient`: further languages, and programs that are given a file.

const rubyFetch = `
require 'net/http'
begin
  print Net::HTTP.get(URI(ARGV[0]))
rescue OpenSSL::SSL::SSLError => error
  warn error.message
  exit(error.message =~ /certificate verify failed|hostname/ ? 60 : 1)
end
`

const perlFetch = `
use IO::Socket::SSL;
my ($host, $port) = @ARGV;
my $socket = IO::Socket::SSL->new(PeerHost => $host, PeerPort => $port,
  SSL_verify_mode => SSL_VERIFY_PEER, SSL_verifycn_scheme => 'http', SSL_hostname => $host);
if (!$socket) {
  warn $SSL_ERROR;
  exit($SSL_ERROR =~ /certificate verify failed|hostname verification failed/ ? 60 : 1);
}
print $socket "GET / HTTP/1.0\\r\\nHost: $host\\r\\n\\r\\n";
my $answer = join '', <$socket>;
print $answer =~ s/^.*?\\r\\n\\r\\n//sr;
`

const phpFetch = `
$said = '';
set_error_handler(function ($level, $message) use (&$said) { $said .= $message; return true; });
$body = file_get_contents($argv[1]);
if ($body !== false) { echo $body; exit(0); }
fwrite(STDERR, $said);
exit(preg_match('/certificate verify failed|did not match expected CN/', $said) ? 60 : 1);
`

const goFetch = `package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
)

func main() {
	response, err := http.Get(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		if strings.Contains(err.Error(), "x509: ") {
			os.Exit(60)
		}
		os.Exit(1)
	}
	body, _ := io.ReadAll(response.Body)
	os.Stdout.Write(body)
}
`

const perlLacks = async (): Promise<string | null> =>
  (await runTool('perl', ['-MIO::Socket::SSL', '-e', '1'])).exitCode === 0
    ? null
    : 'IO::Socket::SSL is not installed'

/** A Go program that reads the store of the machine; it is built in `directory` when it is opened. */
function goClient(directory: string): Client {
  return {
    name: 'go',
    unavailable: () => notInstalled('go'),
    async open(namespace) {
      const source = join(await mkdtemp(join(directory, 'go-')), 'fetch.go')
      await writeFile(source, goFetch)
      const program = await buildGo(source, directory)
      const built = toolClient({ name: 'go', program, args: ({ href }) => [href], judge: by60 })
      return built.open(namespace)
    },
  }
}

/**
 * Returns further clients of the machine's store, and those that read the copies of a hardened root
 * from the file `copies`.
 */
export function storeClients(
  directory: string,
  { copies, home }: { copies: string; home: string },
): readonly Client[] {
  const node = (name: string, env: Readonly<Record<string, string>>, ...flags: string[]) =>
    toolClient({
      name,
      program: process.execPath,
      args: ({ href }) => [...flags, '-e', nodeFetch, href],
      env,
      lacks: async () =>
        flags.every((flag) => process.allowedNodeEnvironmentFlags.has(flag))
          ? null
          : `Node ${process.versions.node} has no ${flags.join(' ')}`,
      judge: by60,
    })
  return [
    node('node with NODE_EXTRA_CA_CERTS', { NODE_EXTRA_CA_CERTS: copies }),
    node('node --use-system-ca', {}, '--use-system-ca'),
    toolClient({
      name: 'curl --cacert',
      program: 'curl',
      args: ({ href }) => ['-sS', '--capath', '/nonexistent', '--cacert', copies, href],
      judge: by60,
    }),
    toolClient({
      name: 'rootling get',
      program: process.execPath,
      args: ({ href }) => [command, 'get', href],
      env: { ROOTLING_HOME: home },
      judge: ({ exitCode, stderr }) =>
        exitCode === 0
          ? true
          : /^Error: (?:Name constraint violated|Wrong host|Unknown issuer|Not a CA|The certificate of \S+ is refused)/m.test(
                stderr,
              )
            ? false
            : null,
    }),
    toolClient({
      name: 'ruby',
      program: 'ruby',
      args: ({ href }) => ['-e', rubyFetch, href],
      judge: by60,
    }),
    toolClient({
      name: 'perl',
      program: 'perl',
      args: ({ hostname, port }) => ['-e', perlFetch, hostname.replace(/[[\]]/g, ''), port],
      lacks: perlLacks,
      judge: by60,
    }),
    toolClient({
      name: 'php',
      program: 'php',
      args: ({ href }) => ['-r', phpFetch, '--', href],
      judge: by60,
    }),
    goClient(directory),
  ]
}
