import { existsSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { readInventory } from '../../src/storage/files/record.ts'
import { killGroup, start, waitFor } from '../helpers/subprocess.ts'
import { startDaemon, type Daemon } from './daemon.ts'

const hasCaddy = existsSync('/usr/bin/caddy')
const skipNote = hasCaddy ? '' : ' (not installed)'
/** What is left out by the one that is tested. */
const without = {
  'http-01': 'disable_tlsalpn_challenge',
  'tls-alpn-01': 'disable_http_challenge',
} as const

/** Caddy on the ports where the daemon looks for challenges; gives what it writes. */
async function startCaddy(daemon: Daemon, names: readonly string[], option: string) {
  const directory = join(daemon.directory, 'caddy')
  await mkdir(directory)
  const config = `{
    admin off
    skip_install_trust
    storage file_system ${directory}
    http_port ${daemon.http01}
    https_port ${daemon.tlsAlpn01}
  }
  ${names.join(', ')} {
    tls {
      issuer acme {
        dir ${daemon.acme}
        trusted_roots ${daemon.rootPath}
        ${option}
      }
    }
    respond "hello {host}"
  }`
  const file = join(directory, 'Caddyfile')
  await writeFile(file, config)
  const args = ['run', '--config', file, '--adapter', 'caddyfile']
  const program = start('/usr/bin/caddy', args, daemon.environment())
  onTestFinished(() => killGroup(program))
  let said = ''
  program.stderr.setEncoding('utf8').on('data', (text: string) => (said += text))
  return () => {
    if (program.exitCode !== null) throw new Error(`Caddy ended: ${said}`)
    return said
  }
}

describe.skipIf(!hasCaddy)(`Caddy${skipNote}`, () => {
  test.each(['http-01', 'tls-alpn-01'] as const)(
    'gets certificates for many sites at once by %s, serves them, and staples what OCSP says',
    async (type) => {
      const daemon = await startDaemon()
      onTestFinished(() => daemon.close())
      // Of more than ten in ten seconds it puts off the rest.
      const sites = Array.from({ length: 8 }, (_, i) => `site${i}.localhost`)
      // By tls-alpn-01 it shows an address as a dNSName, which RFC 8738 §6 does not allow.
      const names = type === 'http-01' ? [...sites, '127.0.0.1'] : sites
      const said = await startCaddy(daemon, names, without[type])
      for (const name of names) {
        const url = `https://${name}:${daemon.tlsAlpn01}/`
        // Debian's curl would look into the system store as well.
        const trust = ['--cacert', daemon.rootPath, '--capath', '/nowhere']
        const hello = await waitFor(url, async () => {
          said()
          const { exitCode, stdout } = await daemon.run('/usr/bin/curl', ['-sSf', ...trust, url])
          return exitCode === 0 ? stdout : null
        })
        expect(hello).toBe(`hello ${name}`)
      }
      const { certificates } = await readInventory(daemon.state)
      const issued = certificates.map(({ identifiers }) => identifiers[0]?.value ?? '')
      // Beside them, the ACME server's own.
      expect(issued.filter((name) => name !== 'localhost').toSorted()).toEqual(names.toSorted())
      expect(said()).toContain(`"challenge_type":"${type}"`)
      expect(said()).not.toMatch(/"level":"error"|badNonce|Retry-After/)

      // Go refuses an OCSP answer that embeds the issuer's own certificate.
      const where = ['-connect', `127.0.0.1:${daemon.tlsAlpn01}`, '-servername', 'site0.localhost']
      const stapled = await waitFor('the stapled OCSP answer', async () => {
        const { stdout } = await daemon.run('/usr/bin/openssl', ['s_client', ...where, '-status'])
        return /Cert Status: \w+/.exec(stdout)?.[0] ?? null
      })
      expect(stapled).toBe('Cert Status: good')
    },
  )
})
