import { existsSync } from 'node:fs'
import { scrubbedEnvironment } from '../../helpers/scrubbed.ts'
import { run } from '../../helpers/subprocess.ts'
import { strangers, type Destination, type Outcome } from '../../sites/mtls/strangers.ts'

/** A TLS client that nobody here wrote, which checks the certificate of the server. */
export interface ServerVisitor {
  readonly name: string
  /** Why it cannot run here; `null`: it can. */
  readonly unavailable: string | null
  /** Asks `https://localhost:PORT/`, trusting only the roots in the file. */
  readonly visit: (to: Destination) => Promise<Outcome>
  /** What it says of an unknown CA, and of a CA that may not sign servers. */
  readonly unknownCa: RegExp
  readonly wrongPurpose: RegExp
}

/** What the server must answer: the clients of test/sites/mtls look for it. */
export const theSecret = '"groupsOffered"'

const wrongPurpose = /purpose|incompatible key usage|not (?:accepted|allowed)/i
const words = {
  unknownCa: /unable to get (?:local )?issuer|unknown authority|issuer is unknown/i,
  wrongPurpose,
}

/** A program that is given a request on its standard input. */
function piped(program: string, args: (to: Destination) => string[]): ServerVisitor {
  return {
    name: program,
    unavailable: existsSync(`/usr/bin/${program}`) ? null : `${program} is not installed`,
    async visit(to) {
      const input = 'GET / HTTP/1.0\r\nHost: localhost\r\n\r\n'
      const ran = await run(program, args(to), scrubbedEnvironment(to.home), { input })
      const said = ran.stdout + ran.stderr
      return { outcome: said.includes(theSecret) ? 'answered' : 'refused', said }
    },
    ...words,
  }
}

export const serverVisitors: readonly ServerVisitor[] = [
  piped('openssl', ({ port, root }) => [
    ...['s_client', '-connect', `127.0.0.1:${port}`, '-servername', 'localhost', '-ign_eof'],
    ...['-verify_return_error', '-verify_hostname', 'localhost'],
    ...['-no-CApath', '-no-CAstore', '-CAfile', root],
  ]),
  piped('gnutls-cli', ({ port, root }) => [
    ...['--x509cafile', root, '--port', String(port), 'localhost'],
  ]),
  // openssl s_client is asked there about clients alone, and goes on after an error.
  ...strangers
    .filter(({ name }) => name !== 'openssl s_client')
    .map(({ name, unavailable, ask }) => ({
      name,
      unavailable,
      visit: (to: Destination) => ask(to, null),
      ...words,
      // Of two faults Node reports the other one.
      ...(name === 'Node https' ? { unknownCa: wrongPurpose } : {}),
    })),
]
