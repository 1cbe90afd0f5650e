import { existsSync, readdirSync, realpathSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { killGroup } from '../../helpers/subprocess.ts'
import { unexpected } from './client.ts'
import type { Client } from './client.ts'

const jvms = '/usr/lib/jvm'

// Reads a URL a line, answers `trusted BASE64`, `refused REASON` or `failed REASON`. A refusal is a
// PKIX failure (CertPathBuilderException and the like) or a wrong name, both CertificateException.
const program = `
import java.io.*;
import java.net.*;
import java.security.cert.*;
import java.util.*;

public class Fetch {
  public static void main(String[] args) throws Exception {
    BufferedReader urls = new BufferedReader(new InputStreamReader(System.in));
    for (String url; (url = urls.readLine()) != null; ) System.out.println(fetch(url));
  }

  static String fetch(String url) {
    try {
      URLConnection connection = new URL(url).openConnection();
      connection.setConnectTimeout(20000);
      connection.setReadTimeout(20000);
      byte[] body = connection.getInputStream().readAllBytes();
      return "trusted " + Base64.getEncoder().encodeToString(body);
    } catch (IOException error) {
      for (Throwable cause = error; cause != null; cause = cause.getCause())
        if (cause instanceof CertificateException || cause instanceof CertPathBuilderException)
          return "refused " + oneLine(cause);
      return "failed " + oneLine(error);
    }
  }

  static String oneLine(Throwable error) {
    return error.toString().replaceAll("[\\\\r\\\\n]+", " ");
  }
}
`

/** One client for each Java under /usr/lib/jvm, or one that says that there is none. */
export function javaClients(): Client[] {
  const homes = existsSync(jvms) ? readdirSync(jvms).map((name) => join(jvms, name)) : []
  const real = new Set(homes.filter(hasJava).map((home) => realpathSync(home)))
  if (real.size === 0) return [{ ...javaClient('java', jvms), unavailable: async () => noJava }]
  return [...real].map((home) => javaClient(`java (${home.slice(jvms.length + 1)})`, home))
}

const noJava = `no Java under ${jvms}`

function hasJava(home: string): boolean {
  return existsSync(join(home, 'bin/java'))
}

function javaClient(name: string, home: string): Client {
  return {
    name,
    // A program in one source file (JEP 330) came with Java 11, in the module of the compiler.
    unavailable: async () =>
      existsSync(join(home, 'lib/modules')) && existsSync(join(home, 'bin/javac'))
        ? null
        : `${home} is older than Java 11, or has no compiler`,
    async open(namespace) {
      const source = join(namespace.home, 'java/Fetch.java')
      await namespace.writeFile(source, program)
      const flags = ['-XX:TieredStopAtLevel=1', '-XX:-UsePerfData']
      const java = namespace.spawn(join(home, 'bin/java'), [...flags, source])
      let stderr = ''
      java.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
      const answers = createInterface({ input: java.stdout })[Symbol.asyncIterator]()
      return {
        async fetch(url) {
          const timer = setTimeout(() => killGroup(java), 600_000)
          java.stdin.write(`${url}\n`)
          const { value, done } = await answers.next().finally(() => clearTimeout(timer))
          const [, verdict, rest = ''] = /^(\w+) ?(.*)$/.exec(done ? '' : value) ?? []
          if (verdict === 'trusted') {
            return { trusted: true, body: Buffer.from(rest, 'base64').toString('utf8') }
          }
          if (verdict === 'refused') return { trusted: false, reason: rest }
          throw unexpected(name, url, rest || stderr)
        },
        async close() {
          killGroup(java)
        },
      }
    },
  }
}
