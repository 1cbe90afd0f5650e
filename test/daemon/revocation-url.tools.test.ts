import { X509Certificate } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { certificateFor } from '../../src/library/certificate-for.ts'
import { onDemandIssuer } from '../../src/certificates/on-demand.ts'
import { inspectCertificate } from '../../src/x509/inspect.ts'
import { freePort } from '../helpers/free-port.ts'
import { run, waitFor } from '../helpers/subprocess.ts'
import { command } from '../helpers/built.ts'
import { scrubbedEnvironment } from '../helpers/scrubbed.ts'
import { isAlive, openDaemonHome } from './daemon-home.ts'

/** A home whose daemon can serve revocation on a port of its own, and openssl. */
async function openWithRevocation() {
  const home = await openDaemonHome()
  const port = await freePort()
  const url = `http://localhost:${port}`
  const path = (name: string): string => join(home.directory, name)
  const must: typeof home.rootling = async (args, options) => {
    const ended = await home.rootling(args, options)
    expect(ended).toMatchObject({ exitCode: 0 })
    return ended
  }
  const leaf = (name: string) =>
    inspectCertificate(new X509Certificate(readFileSync(path(`${name}.pem`))).raw)
  return {
    ...home,
    url,
    path,
    must,
    leaf,
    startDaemon: () => must(['daemon', 'start', '--acme-port=0', `--revocation-port=${port}`]),
    /** Where a certificate says that it can be asked for. */
    urls: (name: string) => [...leaf(name).ocspUrls, ...leaf(name).crlUrls],
    openssl: async (...args: string[]) => {
      const { exitCode, stdout, stderr } = await home.run('openssl', args)
      return { exitCode, said: stdout + stderr }
    },
  }
}

test('a certificate of the command line names the daemon, and OpenSSL gets its status there', async () => {
  const { startDaemon, must, path, url, urls, openssl } = await openWithRevocation()
  await startDaemon()
  await must(['issue', 'shop.test', '127.0.0.1'])
  const file = path('shop.test+1.pem')
  expect(urls('shop.test+1')).toEqual([`${url}/ocsp`, `${url}/local.crl`])
  const root = (await must(['ca', 'path'])).stdout.trim()
  await must(['issue', 'other.test', `--chain-file=${path('chain.pem')}`])

  const asked = (await openssl('x509', '-in', file, '-noout', '-ocsp_uri')).said.trim()
  expect(asked).toBe(`${url}/ocsp`)
  const ask = ['-issuer', path('chain.pem'), '-cert', file, '-url', asked, '-CAfile', root]
  const ocsp = () => openssl('ocsp', ...ask, '-verify_other', path('chain.pem'))
  const verify = () =>
    openssl(
      'verify',
      '-crl_check',
      '-crl_download',
      '-CAfile',
      root,
      '-untrusted',
      path('chain.pem'),
      file,
    )
  expect(await verify()).toEqual({ exitCode: 0, said: `${file}: OK\n` })
  const good = await ocsp()
  expect(good.said).toContain('Response verify OK')
  expect(good.said).toContain(`${file}: good`)

  await must(['revoke', file, '--reason', 'keyCompromise'])
  const refused = await verify()
  expect([refused.exitCode, refused.said]).toEqual([
    2,
    expect.stringContaining('certificate revoked'),
  ])
  const revoked = await ocsp()
  expect(revoked.said).toContain('Response verify OK')
  expect(revoked.said).toContain(`${file}: revoked`)
  expect(revoked.said).toContain('Reason: keyCompromise')
})

test('the library, serve --on-demand and rootling-mkcert name it too', async () => {
  const { startDaemon, url, state, directory, urls } = await openWithRevocation()
  await startDaemon()
  const named = [`${url}/ocsp`, `${url}/local.crl`]
  const urlsOf = (pem: string) => {
    const { ocspUrls, crlUrls } = inspectCertificate(new X509Certificate(pem).raw)
    return [...ocspUrls, ...crlUrls]
  }
  const options = { home: state, keyType: 'p384' } as const
  expect(urlsOf((await certificateFor(['lib.test'], options)).cert)).toEqual(named)
  const without = { ...options, revocationUrl: false } as const
  expect(urlsOf((await certificateFor(['lib.test'], without)).cert)).toEqual([])
  const other = { ...options, revocationUrl: 'http://localhost:1' }
  expect(urlsOf((await certificateFor(['lib.test'], other)).cert)[0]).toBe(
    'http://localhost:1/ocsp',
  )
  const issue = onDemandIssuer({ path: state, owner: null }, () => new Date())
  expect(urlsOf((await issue('demand.test')).cert)).toEqual(named)
  const mkcert = join(command, '../rootling-mkcert.cjs')
  const env = scrubbedEnvironment(directory, { ROOTLING_HOME: state })
  const made = await run(
    'env',
    [`--chdir=${directory}`, process.execPath, mkcert, 'mkcert.test'],
    env,
  )
  expect(made).toMatchObject({ exitCode: 0 })
  expect(urls('mkcert.test')).toEqual(named)
})

test('what is stopped, killed or serves no revocation is not named', async () => {
  const { startDaemon, must, urls, runFile, state } = await openWithRevocation()
  await must(['issue', 'before.test'])
  await startDaemon()
  await must(['daemon', 'stop'])
  await must(['issue', 'stopped.test'])
  await startDaemon()
  const { pid } = runFile()
  process.kill(pid, 'SIGKILL')
  await waitFor('the end of the daemon', () => (isAlive(pid) ? null : true))
  expect(existsSync(join(state, 'daemon-run.json'))).toBe(true)
  await must(['issue', 'killed.test'])
  await must(['daemon', 'start', '--acme-port=0', '--revocation-port=0'])
  await must(['issue', 'off.test'])
  for (const name of ['before.test', 'stopped.test', 'killed.test', 'off.test'])
    expect([name, urls(name)]).toEqual([name, []])
})

test('a renewal names the daemon or not as it stands then; what was asked for at first stays', async () => {
  const { startDaemon, must, urls, url } = await openWithRevocation()
  const given = 'http://localhost:1'
  const named = [`${url}/ocsp`, `${url}/local.crl`]
  const all = ['plain.test', 'none.test', 'given.test']
  await must(['issue', 'plain.test'])
  await must(['issue', 'none.test', '--no-revocation-url'])
  await must(['issue', 'given.test', '--revocation-url', given])
  const givenUrls = [`${given}/ocsp`, `${given}/local.crl`]
  expect(all.map(urls)).toEqual([[], [], givenUrls])
  await startDaemon()
  await must(['renew', ...all])
  expect(all.map(urls)).toEqual([named, [], givenUrls])
  await must(['issue', 'none.test', '--no-revocation-url'])
  expect(urls('none.test')).toEqual([])
  await must(['daemon', 'stop'])
  await must(['renew', ...all])
  expect(all.map(urls)).toEqual([[], [], givenUrls])
})

test('status and show say that a stopped daemon is named, and what to do', async () => {
  const { startDaemon, must, rootling, json, leaf, url, path } = await openWithRevocation()
  await must(['issue', 'given.test', '--revocation-url', 'http://localhost:1'])
  await startDaemon()
  await must(['issue', 'shop.test'])
  const status = () => rootling(['status', '--stores=nss'])
  const findings = async (name: string) => {
    const [first] = (await json(['show', path(`${name}.pem`)])).value['certificates'] as {
      findings: { code: string; remedy: string }[]
    }[]
    return first?.findings
  }
  expect((await status()).stderr).toContain(
    `Certificates issued now name the daemon's OCSP and CRL at ${url}.\n`,
  )
  expect((await status()).stderr).not.toContain('does not answer')
  expect(await findings('shop.test')).toEqual([])

  await must(['daemon', 'stop'])
  const { serialNumber } = leaf('shop.test')
  const home = `ROOTLING_HOME=${path('state')} `
  const hint = `${home}rootling daemon start, or ${home}rootling renew ${serialNumber}`
  expect((await status()).stderr).toContain(`1 certificate names the daemon for OCSP and CRL`)
  expect((await status()).stderr).toContain(hint)
  const told = (await json(['status', '--stores=nss'])).value
  expect(told['revocation']).toEqual({ url: null, unanswered: [serialNumber] })
  const remedy = `Start it: ${home}rootling daemon start; or renew without: ${home}rootling renew ${serialNumber}`
  expect(await findings('shop.test')).toMatchObject([{ code: 'responder-stopped', remedy }])
  expect(await findings('given.test')).toEqual([])
  const shown = (await must(['show', path('shop.test.pem')])).stdout
  expect(shown.replace(/\s+/g, ' ')).toContain(remedy)

  await must(['renew', serialNumber])
  expect((await status()).stderr).not.toContain('does not answer')
  expect(await findings('shop.test')).toEqual([])
})

test('a responder and none, and either with --self-signed, contradict each other', async () => {
  const { rootling, path } = await openWithRevocation()
  const url = '--revocation-url=http://localhost:1'
  for (const args of [
    [url, '--no-revocation-url'],
    ['--self-signed', url],
  ])
    expect(await rootling(['issue', 'shop.test', ...args])).toMatchObject({ exitCode: 2 })
  expect(existsSync(path('shop.test.pem'))).toBe(false)
})
