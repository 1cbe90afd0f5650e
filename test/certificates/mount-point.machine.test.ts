import { createPrivateKey, X509Certificate } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { command } from '../helpers/built.ts'
import { openHome } from '../helpers/home.ts'
import { namespaceUnavailable } from '../helpers/namespace.ts'

// Containers mount single files: a rename cannot replace them (docker/docs#9415).
const why = namespaceUnavailable()
const skipped = why === null ? '' : ` (skipped: ${why})`

/** A home with a certificate whose two files stand in for files of the host of a container. */
async function mountedPair() {
  const home = openHome()
  await home.createAuthority()
  await home.rootling(['issue', 'localhost', '--out-dir', 'host'])
  /** Runs a command where the two files are mounted over empty ones in `in a container`. */
  const inContainer = (script: string, before = '') =>
    home.run('unshare', [
      ...['--mount', '--propagation', 'private', 'sh', '-euc'],
      `node=$1; rootling=$2
      mkdir -p 'in a container'
      for file in localhost.pem localhost-key.pem; do
        : > "in a container/$file"
        mount --bind "host/$file" "in a container/$file"
      done
      ${before}
      ${script}`,
      ...['sh', process.execPath, command],
    ])
  const host = (name: string) => readFileSync(join(home.directory, 'host', name), 'utf8')
  return { home, inContainer, host }
}

const issueThere = `"$node" "$rootling" issue localhost --out-dir 'in a container' --force`

test.skipIf(why !== null)(
  `renewing writes files that are mounted one by one in place, and says to mount the directory${skipped}`,
  async () => {
    const { inContainer, host } = await mountedPair()
    const before = host('localhost.pem')
    const renew = `"$node" "$rootling" renew "$PWD/in a container/localhost.pem" --rekey`
    const { exitCode, stderr } = await inContainer(`${issueThere}; ${renew}`)
    expect(stderr).toContain("in a container/localhost.pem' is mounted by itself")
    expect(stderr).toContain('mount the directory')
    expect(exitCode).toBe(0)
    expect(host('localhost.pem')).not.toBe(before)
    const leaf = new X509Certificate(host('localhost.pem'))
    const key = createPrivateKey(host('localhost-key.pem'))
    expect(leaf.checkPrivateKey(key)).toBe(true)
  },
)

test.skipIf(why !== null)(
  `the directory around a mounted file may be read-only${skipped}`,
  async () => {
    const { inContainer, host } = await mountedPair()
    const before = host('localhost.pem')
    const readOnly = `
      mount --bind 'in a container' 'in a container'
      mount -o remount,ro,bind 'in a container'
      for file in localhost.pem localhost-key.pem; do
        mount --bind "host/$file" "in a container/$file"
      done`
    const { exitCode, stderr } = await inContainer(issueThere, readOnly)
    expect(stderr).toContain('mount the directory')
    expect(exitCode).toBe(0)
    expect(host('localhost.pem')).not.toBe(before)
  },
)

test.skipIf(why !== null)(
  `a mounted file that is read-only is named before anything is recorded${skipped}`,
  async () => {
    const { home, inContainer, host } = await mountedPair()
    const before = host('localhost.pem')
    const { certificates: recorded } = (await home.json(['list'])).value
    const readOnly = `mount -o remount,ro,bind 'in a container/localhost.pem'`
    const { exitCode, stderr } = await inContainer(issueThere, readOnly)
    expect(exitCode).toBe(1)
    expect(stderr).toContain("localhost.pem' could not be written: the file system is read-only.")
    expect(host('localhost.pem')).toBe(before)
    expect((await home.json(['list'])).value['certificates']).toEqual(recorded)
  },
)

test.skipIf(why !== null)(
  `a mounted file that a kill left half-written is finished by the next command${skipped}`,
  async () => {
    const { home, inContainer, host } = await mountedPair()
    const whole = host('localhost.pem')
    const [{ serialNumber }] = (await home.json(['list'])).value['certificates'] as [
      { serialNumber: string },
    ]
    const file = {
      path: join(home.directory, 'in a container/localhost.pem'),
      mode: 0o644,
      base64: Buffer.from(whole).toString('base64'),
      before: '0'.repeat(64),
    }
    const pending = JSON.stringify({ record: { serialNumber }, files: [file] })
    mkdirSync(join(home.directory, 'state/pending'), { mode: 0o700, recursive: true })
    writeFileSync(join(home.directory, `state/pending/${serialNumber}.json`), pending, {
      mode: 0o600,
    })
    writeFileSync(join(home.directory, 'host/localhost.pem'), whole.slice(0, 300))
    const { exitCode, stderr } = await inContainer('"$node" "$rootling" list')
    expect(`${exitCode} ${stderr}`).toBe('0 ')
    expect(host('localhost.pem')).toBe(whole)
  },
)
