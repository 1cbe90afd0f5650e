import { expect, test } from 'vitest'
import { openHome } from '../helpers/home.ts'
import { waitFor } from '../helpers/subprocess.ts'

test('list and list --json have one word for what a certificate is for', async () => {
  const { rootling, json, createAuthority } = openHome()
  await createAuthority()
  for (const line of [['shop.test'], ['ada@shop.test'], ['--client', 'bob@shop.test']])
    expect(await rootling(['issue', ...line])).toMatchObject({ exitCode: 0 })
  const { value } = await json(['list'])
  const uses = (value['certificates'] as { names: string[]; use: string }[]).map(
    ({ names, use }) => `${names.join()} ${use}`,
  )
  expect(uses).toEqual(
    expect.arrayContaining(['bob@shop.test client', 'ada@shop.test mail', 'shop.test server']),
  )
  const rows = (await rootling(['list'])).stdout
  expect(rows).toMatch(/^bob@shop\.test .* client /m)
  expect(rows).toMatch(/^ada@shop\.test .* mail /m)
  expect(rows).toMatch(/^shop\.test .* server /m)
})

test('a common name in another script is shown with its octets beside it', async () => {
  const { rootling, run, serve, createAuthority } = openHome()
  const ca = await createAuthority()
  // The letters are Cyrillic, and look like those of another name.
  const client = [
    'issue',
    '--client',
    '--cn',
    'ассе',
    '--cert-file',
    'c.pem',
    '--key-file',
    'k.pem',
  ]
  const { stderr } = await rootling(client)
  const shown = String.raw`ассе (\D0\B0\D1\81\D1\81\D0\B5)`
  expect(stderr).toContain(`Issued for ${shown}, good until`)
  // The cell takes two lines.
  expect((await rootling(['list'])).stdout).toMatch(
    /^ассе .*\n\(\\D0\\B0\\D1\\81\\D1\\81\\D0\\B5\)$/m,
  )
  expect((await rootling(['show', 'c.pem'])).stdout).toContain(`CN=${shown}`)
  expect((await rootling(['revoke', 'c.pem'])).exitCode).toBe(0)
  const { url, log } = await serve(['--mtls'])
  await run('curl', ['-sS', '--cacert', ca, '--cert', 'c.pem', '--key', 'k.pem', url])
  await waitFor('the refusal', () => (log().includes(' refused: ') ? true : null))
  expect(log()).toContain(`refused: the certificate of CN=${shown} was revoked`)
})

test.skipIf(process.geteuid?.() !== 0)(
  'root is told that files in the directory of another user belong to root',
  async () => {
    const { rootling, run, json, createAuthority } = openHome()
    await createAuthority()
    await run('sh', ['-c', 'mkdir theirs "own files"; chown 12345 theirs'])
    for (const line of [
      ['issue', 'shop.test', '--out-dir', 'theirs/new'],
      ['request', 'shop.test', '--csr-file', 'theirs/a.csr', '--key-file', 'theirs/a.key'],
      ['ca', 'export', '--out', 'theirs/root.pem'],
      ['crl', '--out', 'theirs/local.crl'],
    ]) {
      const { exitCode, stderr } = await rootling(line)
      expect(exitCode, stderr).toBe(0)
      expect(stderr).toMatch(
        /^Warning: Root writes below a directory of the user 12345, and .*: chown 12345 \/\S+/m,
      )
    }
    const { value } = await json(['issue', 'shop.test', '--out-dir', 'own files'])
    expect(value['warnings']).toEqual([])
  },
)
