import { dirname } from 'node:path'

const systemPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/**
 * Returns the environment of a client whose trust is tested. It is built from nothing: an SSL_CERT_FILE,
 * NODE_EXTRA_CA_CERTS, CURL_CA_BUNDLE, JAVA_TOOL_OPTIONS, proxy or XDG variable in the environment
 * of the test run would make a test pass or fail for the wrong reason. Node's own directory comes
 * last in PATH, after the system's tools; `extra` is added unchanged.
 */
export function scrubbedEnvironment(
  home: string,
  extra: Readonly<Record<string, string>> = {},
): Record<string, string> {
  return {
    PATH: `${systemPath}:${dirname(process.execPath)}`,
    HOME: home,
    LANG: 'C.UTF-8',
    TERM: 'dumb',
    ...extra,
  }
}
