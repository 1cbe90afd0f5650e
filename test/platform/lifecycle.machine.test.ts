import { execFile, execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import { rolldown } from 'rolldown'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { scenarios } from './scenarios.ts'
import { cleanEnv, snapshot } from './world.ts'

const needed = [
  '/usr/sbin/update-ca-certificates',
  '/usr/bin/certutil',
  '/usr/bin/keytool',
  '/usr/bin/firefox',
  '/usr/bin/chromium',
  '/usr/bin/openssl',
  '/usr/bin/python3',
  '/usr/bin/trust',
]

/** Why this machine cannot run the lifecycle; `null`: it can. */
function obstacle(): string | null {
  if (process.getuid?.() !== 0) return 'it needs root to make a private copy of the machine'
  const missing = needed.filter((file) => !existsSync(file))
  if (missing.length > 0) return `it needs ${missing.join(', ')}`
  try {
    execFileSync('unshare', ['-m', 'true'], { stdio: 'ignore' })
    return null
  } catch {
    return 'unshare -m is not allowed here'
  }
}

/** What the real stores hold: it has to be the same before and after. */
const realStores = [
  '/etc/ssl/certs',
  '/usr/local/share/ca-certificates',
  '/etc/firefox',
  '/etc/pki',
]
const realBundle = '/etc/ssl/certs/ca-certificates.crt'

/**
 * Every directory that the stores write becomes a layer in memory, seen by these processes only. Five
 * public roots are left: update-ca-certificates starts several programs for each of them.
 */
const script = `
set -e
base=$1; shift
mount -t tmpfs tmpfs "$base/memory"
cp "$base/child.mjs" "$base/memory/"
for directory in /etc /usr/local/share /var/lib; do
  layer="$base/memory/layer$(echo $directory | tr / _)"
  mkdir -p "$layer/upper" "$layer/work"
  mount -t overlay overlay -o "lowerdir=$directory,upperdir=$layer/upper,workdir=$layer/work" $directory
done
mkdir -m 1777 "$base/memory/tmp"
roots=/etc/ca-certificates.conf
grep '^mozilla/' $roots | head -n 5 > "$base/memory/roots"
cat "$base/memory/roots" > $roots
update-ca-certificates --fresh >/dev/null 2>&1
"$@"
`

const reason = obstacle()

describe.skipIf(reason !== null)(`lifecycle of every store${reason ? ` (${reason})` : ''}`, () => {
  const base = mkdtempSync(path.join(tmpdir(), 'rootling-lifecycle-'))
  let results: Record<string, { error: string | null; milliseconds: number }> = {}
  let before: unknown

  beforeAll(async () => {
    execFileSync('mkdir', ['-m', '0755', path.join(base, 'memory')])
    execFileSync('chmod', ['0755', base])
    const bundle = await rolldown({
      input: path.join(import.meta.dirname, 'lifecycle-child.ts'),
      platform: 'node',
    })
    await bundle.write({ file: path.join(base, 'child.mjs'), codeSplitting: false })
    before = [snapshot(realStores), readFileSync(realBundle, 'utf8')]

    const memory = path.join(base, 'memory')
    const command = [process.execPath, path.join(memory, 'child.mjs'), path.join(base, 'results')]
    await promisify(execFile)('unshare', ['-m', 'sh', '-c', script, 'sh', base, ...command], {
      env: { ...cleanEnv, TMPDIR: path.join(memory, 'tmp') },
    })
    results = JSON.parse(readFileSync(path.join(base, 'results'), 'utf8'))
  })

  afterAll(() => rmSync(base, { recursive: true, force: true }))

  test.each(Object.keys(scenarios))('%s', (name) => {
    expect(results[name]).toBeDefined()
    expect(results[name]?.error).toBeNull()
  })

  test('leaves the stores of the real machine as they were', () => {
    expect([snapshot(realStores), readFileSync(realBundle, 'utf8')]).toEqual(before)
  })
})
