import { X509Certificate } from 'node:crypto'
import { existsSync, lstatSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { ensureAuthority } from '../../../src/authority/create.ts'
import { makeCrl } from '../../../src/certificates/crl.ts'
import { issue } from '../../../src/certificates/issue.ts'
import { freePort } from '../../helpers/free-port.ts'
import { start, waitFor, type Finished } from '../../helpers/subprocess.ts'
import { damages, fingerprint } from './damage.ts'
import { long, tally } from '../../helpers/long.ts'
import { pointsOf, runWith, untraceable } from './points.ts'
import { openWorld, rootlingLine, templateOf, unfriendly, type World } from './world.ts'
import { fileStorage } from '../../../src/storage/files/storage.ts'

const ports = ['--revocation-port=0']

/** A state directory with a file of every kind that there is, some months old. */
async function oldWorld(): Promise<World> {
  const world = await openWorld()
  const state = { path: world.state, owner: null }
  const past = new Date(Date.now() - 300 * 86_400_000)
  await ensureAuthority(state, past)
  for (const names of [['localhost'], ['shop.test'], ['gone.test']])
    await issue(state, { names, files: { outDir: world.out } }, past)
  await makeCrl(fileStorage(state), 'local', past)
  await runDaemonOnce(world)
  await interrupt(world)
  return world
}

/** Killed, so that what it takes away at an orderly stop stays; one renewal has failed. */
async function runDaemonOnce(world: World): Promise<void> {
  const must = async (...args: string[]): Promise<void> => {
    const { exitCode, stderr } = await world.rootling(args)
    if (exitCode !== 0) throw new Error(stderr)
  }
  rmSync(join(world.out, 'gone.test.pem'))
  await must('daemon', 'start', `--acme-port=${await freePort()}`, ...ports)
  const { pid } = JSON.parse(readFileSync(join(world.state, 'daemon-run.json'), 'utf8')) as {
    pid: number
  }
  try {
    const failures = join(world.state, 'renewal.json')
    await waitFor('the renewal', () => (existsSync(failures) ? true : null))
    await must('acme', 'eab', 'create')
  } finally {
    process.kill(pid, 'SIGKILL')
  }
}

/** Leaves a certificate on record whose files wait in `pending`. */
async function interrupt(world: World): Promise<void> {
  const line = rootlingLine(['issue', 'late.test', '--out-dir', world.out])
  const template = await templateOf(world)
  const points = await pointsOf(world, line)
  await template.restore()
  const last = points.findLast(({ call, line: text }) => call === 'rename' && /\/out\//.test(text))
  if (last === undefined) throw new Error('nothing was renamed')
  await runWith(world, last, 'signal=KILL', line)
}

/** What reads a kind of file, and what may become of a damaged one: it is kept, or made anew. */
interface Kind {
  readonly file: RegExp
  readonly read: readonly (keyof typeof commands)[]
  readonly replaced?: true
  /** Lines are only added to it; that some are missing, nobody can see. */
  readonly appended?: true
}

const commands = {
  issue: ({ out }: World) => ['issue', 'localhost', '--out-dir', out],
  list: () => ['list', '--all'],
  'ca list': () => ['ca', 'list'],
  renew: () => ['renew', 'shop.test'],
  revoke: ({ out }: World) => ['revoke', join(out, 'shop.test.pem')],
  crl: ({ out }: World) => ['crl', '--out', join(out, 'local.crl')],
  'root crl': () => ['crl', '--root'],
  status: () => ['status', '--stores', 'nss'],
  'daemon run': () => ['daemon', 'run', '--acme-port=0', ...ports],
  'daemon with ACME': () => ['daemon', 'run', `--acme-port=${acmePort}`, ...ports],
  'daemon status': () => ['daemon', 'status'],
  'daemon logs': () => ['daemon', 'logs'],
}
let acmePort = 0

const kinds: readonly Kind[] = [
  { file: /^scopes\/local\/crl-number$/, read: ['crl', 'list'] },
  { file: /^scopes\/local\/root\.crl$/, read: ['root crl', 'crl', 'issue'] },
  {
    file: /^scopes\/local\/intermediate-key\.pem$/,
    read: ['issue', 'renew', 'crl', 'list', 'status'],
  },
  {
    file: /^scopes\/local\/(root\.pem|intermediate\.pem|scope\.json)$/,
    read: ['issue', 'ca list', 'renew', 'crl', 'status', 'daemon run'],
  },
  {
    file: /^certificates\.jsonl$/,
    read: ['list', 'issue', 'renew', 'revoke', 'crl', 'daemon run'],
    appended: true,
  },
  { file: /^pending\/\w+\.json$/, read: ['list', 'issue'], replaced: true },
  { file: /^kept\/\w+\/(cert|key)\.pem$/, read: ['list', 'renew'] },
  { file: /^(daemon|renewal)\.json$/, read: ['daemon run', 'daemon status'] },
  {
    file: /^daemon-run\.json$/,
    read: ['daemon run', 'daemon status', 'issue'],
    replaced: true,
  },
  { file: /^daemon\.log$/, read: ['daemon run', 'daemon logs'] },
  { file: /^acme\/(journal|nonces)$/, read: ['daemon with ACME'] },
  { file: /^(lock|daemon\.lock|kept\.lock)$/, read: ['issue', 'daemon run'] },
  { file: /^stores\.json$/, read: ['issue', 'status'] },
  { file: /^CACHEDIR\.TAG$/, read: ['issue'] },
  { file: /^version$/, read: ['issue', 'list', 'crl', 'daemon run'] },
]

/** Root without the right to pass over modes, so that an unreadable file is one. */
const bound = ['setpriv', '--bounding-set', '-dac_override,-dac_read_search']

/** Runs a command; a daemon that has started is told to stop, and that counts as success. */
async function attempt(world: World, args: readonly string[]): Promise<Finished> {
  if (args[1] !== 'run') return world.rootling(args, { before: bound })
  const [program = '', ...rest] = [...bound, ...rootlingLine(args)]
  const daemon = start(program, rest, world.env)
  const said = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const)
    daemon[name].setEncoding('utf8').on('data', (text: string) => (said[name] += text))
  const closed = new Promise<number | null>((done) => daemon.once('close', done))
  await waitFor('the daemon', () =>
    daemon.exitCode !== null || said.stdout.includes('pid') ? true : null,
  )
  daemon.kill('SIGTERM')
  return { exitCode: await closed, ...said }
}

/** What is wrong with how a command took a damaged file. */
function judge(
  world: World,
  { file, appended }: { file: string; appended: boolean },
  finished: Finished,
): string[] {
  const { exitCode, stdout, stderr } = finished
  // Not running, not trusted: what these commands are to say here.
  const expected = /does not run|is not running|To fix it/.test(stdout + stderr)
  const unseen = /on record|by something else|is gone/.test(stdout + stderr)
  if (exitCode !== 0 && !expected && !(appended && unseen)) {
    // Another digit in `version` is the number of a newer Rootling's directory.
    const newer = `${world.state} has version`
    const blamed = [join(world.state, file), newer].some((text) => (stdout + stderr).includes(text))
    return [...unfriendly(finished), ...(blamed ? [] : [`names another file: ${stdout}${stderr}`])]
  }
  return /^\s+at |node:internal/m.test(stderr) ? [stderr] : []
}

/** Whether the certificate that stands there is the old authority's, with its key. */
function strangers({ state, out }: World, intermediate: X509Certificate): string[] {
  try {
    const leaf = new X509Certificate(readFileSync(join(out, 'localhost.pem')))
    const own = leaf.verify(intermediate.publicKey)
    return own && existsSync(state) ? [] : ['signed by a key that is not the intermediate’s']
  } catch (error) {
    return [`the certificate cannot be read: ${String(error)}`]
  }
}

const note = untraceable() ?? ''
const options = { timeout: long ? 36_000_000 : 900_000 }

test.skipIf(note !== '')(
  `every state file is named and kept however it is damaged${note}`,
  options,
  async () => {
    const world = await oldWorld()
    acmePort = await freePort()
    const template = await templateOf(world)
    const files = readdirSync(world.state, { recursive: true })
      .map(String)
      .filter((name) => statSync(join(world.state, name)).isFile())
    const kindOf = (name: string) => kinds.filter(({ file }) => file.test(name))
    expect(files.filter((name) => kindOf(name).length !== 1)).toEqual([])
    expect(kinds.filter(({ file }) => !files.some((name) => file.test(name)))).toEqual([])
    const intermediate = new X509Certificate(
      readFileSync(join(world.state, 'scopes/local/intermediate.pem')),
    )
    const cases = files.flatMap((file) =>
      damages.flatMap((damage) =>
        kindOf(file).flatMap(({ read, replaced = false, appended = false }) =>
          read.map((name) => ({ file, damage, name, replaced, appended })),
        ),
      ),
    )
    const wrong: string[] = []
    let done = 0
    for (const { file, damage, name, replaced, appended } of cases) {
      if (!long && Math.random() > 24 / cases.length) continue
      await template.restore()
      const path = join(world.state, file)
      if (!damage.happen(path, world)) continue
      const before = fingerprint(path)
      const size = lstatSync(path, { throwIfNoEntry: false })?.size ?? 0
      const finished = await attempt(world, commands[name](world))
      done += 1
      const judged = judge(world, { file, appended }, finished)
      const found = [...judged, ...strangers(world, intermediate)]
      const same = fingerprint(path, appended ? size : undefined) === before
      const kept = finished.exitCode === 0 || same || replaced
      if (!kept) found.push('overwritten')
      wrong.push(...found.map((fault) => `${file}, ${damage.title}, ${name}: ${fault}`))
    }
    tally('commands over a damaged state file', done)
    expect(wrong).toEqual([])
    expect(done).toBeGreaterThan(5)
  },
)
