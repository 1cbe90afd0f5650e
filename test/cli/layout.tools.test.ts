import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { noPorts, openDaemonHome } from '../daemon/daemon-home.ts'
import { issued, serialOf, writeRecord } from '../helpers/filled-record.ts'
import { freePort } from '../helpers/free-port.ts'
import { openHome } from '../helpers/home.ts'
import { scrubbedEnvironment } from '../helpers/scrubbed.ts'
import { run, waitFor } from '../helpers/subprocess.ts'
import { notInstalled } from '../outside/e2e/client.ts'
import { command } from '../helpers/built.ts'

const longName = 'a-very-long-name.that-goes-on-and-on.and-on-and-on.and-on.example.test'
const longPath = 'a directory with spaces/and-another-one-below-it-with-a-long-name-too'
const shortPrint = String.raw`\([0-9a-f]{8}:[0-9a-f]{8}\)`
const moment = String.raw`\d{4}-\d\d-\d\d \d\d:\d\d UTC`

async function openWithNames() {
  const home = openHome()
  await home.createAuthority()
  mkdirSync(join(home.directory, longPath), { recursive: true })
  const must = async (...args: string[]) => {
    const { exitCode, stdout, stderr } = await home.rootling(args)
    if (exitCode !== 0) throw new Error(`${args.join(' ')}: ${stderr}`)
    return { stdout, stderr }
  }
  await must('issue', 'localhost', '127.0.0.1', '::1')
  await must('issue', 'bücher.test', longName, '--out-dir', longPath)
  await must('ca', 'permit', '--private', 'vpn')
  await must('issue', 'gate.example', '--scope', 'vpn', '--out-dir=vpn')
  return { ...home, must }
}

/** Lines of more than 80 columns that are not one path or fingerprint alone. */
const tooLong = (text: string): string[] =>
  text.split('\n').filter((line) => line.length > 80 && !/^ *(?:~?\/|\S+$)/.test(line))

test('in a pipe no line of list, status, show, renew and ca list is longer than 80 columns', async () => {
  const { rootling, directory } = await openWithNames()
  const out: Record<string, string> = {}
  for (const line of [
    'list',
    'ca list',
    'status',
    'show bücher.test',
    'show gate.example',
    'ca show vpn',
    'renew --all',
  ])
    out[line] = (await rootling(line.split(' '))).stdout
  for (const [line, text] of Object.entries(out))
    expect([line, text.length > 0, tooLong(text)]).toEqual([line, true, []])
  const { list = '', 'renew --all': renewed = '', 'show bücher.test': shown = '' } = out
  for (const text of [list, renewed]) {
    expect(text).toContain(`    ~/'${longPath}/xn--bcher-kva.test+1.pem'\n`)
    expect(text).not.toContain(directory)
  }
  for (const text of [list, renewed, shown]) {
    expect(text).toContain('bücher.test (xn--bcher-kva.test)')
    expect(text).toContain(longName)
  }
})

test('a root has one name in ca list, status, show and the texts of its making', async () => {
  const { rootling, must } = await openWithNames()
  const all = await must('ca', 'list')
  const [local = ''] = new RegExp(`^local ${shortPrint}$`, 'm').exec(all.stdout) ?? []
  const [vpn = ''] = new RegExp(`^vpn ${shortPrint}$`, 'm').exec(all.stdout) ?? []
  expect([local, vpn]).not.toContain('')
  const { stderr } = await rootling(['status'])
  expect(stderr).toContain(`${local} may sign local names, until `)
  expect(stderr).toContain(`${vpn} may sign `)
  const shown = (await must('show', 'bücher.test')).stdout.replace(/\s+/g, ' ')
  expect(shown).toContain(` (our root ${local})`)
  // The whole fingerprint begins as the short one, and is one word.
  const [, print = ''] = /^ +([0-9a-f]{8}(?::[0-9a-f]{8}){7})$/m.exec(all.stdout) ?? []
  expect(local).toBe(`local (${print.slice(0, 17)})`)
})

test('every date for people has one form', async () => {
  const { rootling, must, json } = await openWithNames()
  const issued = await must('issue', 'shop.test')
  expect(issued.stderr).toMatch(
    new RegExp(`^Issued for shop\\.test, good until ${moment} \\(in 396 days\\)\\.$`, 'm'),
  )
  const texts = [
    (await must('ca', 'list')).stdout,
    (await must('show', 'shop.test')).stdout,
    (await rootling(['status'])).stderr,
  ]
  for (const text of texts) {
    expect(text).toMatch(new RegExp(`${moment} \\(in \\d+ days\\)`))
    expect(text).not.toMatch(/\d{4}-\d\d-\d\dT/)
  }
  const { value } = await json(['list'])
  expect((value['certificates'] as object[])[0]).toMatchObject({
    notAfter: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d/),
  })
})

test('--quiet and --json keep whole paths', async () => {
  const { rootling, json, directory } = await openWithNames()
  const { stdout } = await rootling(['issue', 'shop.test', '-q'])
  expect(stdout).toContain(`${directory}/shop.test.pem\n`)
  expect((await rootling(['list', '-q'])).stdout).toContain(`${directory}/shop.test.pem`)
  const { value } = await json(['list'])
  expect((value['certificates'] as object[])[0]).toMatchObject({
    certPath: `${directory}/shop.test.pem`,
  })
  expect((await rootling(['ca', 'path'])).stdout).toBe(`${directory}/state/roots.pem\n`)
})

/** Returns the lines that a command prints on a terminal of 80 columns. */
async function onTerminal(directory: string, words: string, cwd = '.'): Promise<string[]> {
  const shell = `cd ${cwd}; stty cols 80; ${process.execPath} ${command} ${words}`
  const environment = scrubbedEnvironment(directory, {
    ROOTLING_HOME: join(directory, 'state'),
    NO_COLOR: '1',
  })
  const { stdout } = await run('script', ['-qec', shell, '/dev/null'], environment)
  return stdout.split(/\r?\n/)
}

/** Whether a line is too long and no command, which stays whole so that it can be copied. */
const isTooLong = (line: string): boolean =>
  line.length > 80 && !/^ *(?:→ )?ROOTLING_HOME=/.test(line)

const noScript = await notInstalled('script')

test.skipIf(noScript !== null)(
  'on a terminal sentences wrap between words, and below the first',
  async () => {
    const { directory } = await openWithNames()
    const lines = await onTerminal(directory, 'status')
    expect(lines.filter((line) => line.length > 80)).toEqual([])
    const at = lines.findIndex((line) => line.startsWith('vpn ('))
    expect(lines[at + 1]).toMatch(/^ {2}\S/)
  },
)

test.skipIf(noScript !== null)(
  'on a terminal the results of revoke, forget and get --compare wrap between words',
  async () => {
    const { directory, must, rootling, serve } = await openWithNames()
    await must('issue', 'one.test', 'another-one.test', 'www.test', '127.0.0.1', '--out-dir', 'x')
    const { url } = await serve()
    const compared = await onTerminal(directory, `get --compare ${url}`)
    const unknown = await onTerminal(directory, `get --compare https://127.0.0.1:1/`)
    const revoked = await onTerminal(directory, 'revoke another-one.test')
    const again = await onTerminal(directory, 'revoke another-one.test')
    for (const lines of [compared, unknown, revoked, again])
      expect([lines.length > 1, lines.filter(isTooLong)]).toEqual([true, []])
    expect(unknown.join(' ')).toContain('  → ROOTLING_HOME=')
    const text = again.join(' ').replace(/ +/g, ' ')
    expect(text).toMatch(new RegExp(`was revoked already, on ${moment}: unspecified\\.`))
    expect(compared.some((line) => /^ +[0-9a-f]{8}(?::[0-9a-f]{8}){7}$/.test(line))).toBe(true)
    // A script that reads a pipe finds the whole sentence in one line.
    const { stdout } = await rootling(['revoke', 'another-one.test'])
    expect(stdout).toMatch(/^one\.test, .* was revoked already, on .*\.\n$/)
  },
)

test.skipIf(noScript !== null)(
  'on a terminal what doctor says of a project and daemon status of the proxy wraps too',
  async () => {
    const home = await openDaemonHome()
    const wanted = { certificates: [{ names: ['shop.test'], cert: 'a.pem', key: 'a-key.pem' }] }
    const text = JSON.stringify({ version: 1, ...wanted, hosts: { 'a.test': '127.0.0.1' } })
    const project = join(home.directory, 'shop')
    mkdirSync(join(project, '.git'), { recursive: true })
    writeFileSync(join(project, 'rootling.json'), text)
    const doctor = await onTerminal(home.directory, 'doctor', project)
    expect(doctor.join(' ')).toMatch(/This machine is not as\s+\S+ says: /)
    expect(doctor.filter(isTooLong)).toEqual([])
    await home.daemon(['start', ...noPorts, `--proxy-port=${await freePort()}`])
    writeFileSync(join(home.state, 'proxy.json'), 'damaged')
    await waitFor('the damage', async () => {
      const { proxy } = await home.status()
      return (proxy as { reason: string | null }).reason
    })
    const status = await onTerminal(home.directory, 'daemon status')
    expect(status.filter((line) => line.length > 80 && !/^ +(?:→ )?\S+;?$/.test(line))).toEqual([])
    const at = status.findIndex((line) => line.startsWith(' '))
    expect(status[at]).toMatch(/^ {14}The proxy/)
    expect(status.some((line) => line.startsWith('  → rm '))).toBe(true)
  },
)

/** Writes certificates into the record whose files are gone. */
function fillRecord(directory: string, count: number): void {
  const state = { path: join(directory, 'state'), owner: null }
  const days = (from: number) => new Date(Date.now() + from * 86_400_000).toISOString()
  const dates = { notBefore: days(-1), notAfter: days(300) }
  writeRecord(
    state,
    Array.from({ length: count }, (_, i) => issued(i, dates)),
  )
}

test('a long list is one JSON value in many pieces, and a table with one head', async () => {
  const { directory, rootling } = openHome()
  const count = 5_000
  fillRecord(directory, count)
  const { stdout } = await rootling(['list', '--json'])
  const answer = JSON.parse(stdout) as { certificates: { serialNumber: string }[] }
  const lines = answer.certificates.map((each) => `    ${JSON.stringify(each)}`).join(',\n')
  expect(stdout).toBe(
    `{\n  "ok": true,\n  "certificates": [\n${lines}\n  ],\n  "warnings": []\n}\n`,
  )
  expect(Object.keys(answer)).toEqual(['ok', 'certificates', 'warnings'])
  const serials = answer.certificates.map(({ serialNumber }) => serialNumber)
  expect(serials).toEqual(Array.from({ length: count }, (_, i) => serialOf(count - 1 - i)))
  const table = (await rootling(['list'])).stdout
  expect(table.match(/^NAMES/gm)).toHaveLength(1)
  expect(table.match(/file is missing/g)).toHaveLength(count)
  const empty = (await rootling(['list', '--due', '--json'])).stdout
  expect(empty).toBe('{\n  "ok": true,\n  "certificates": [],\n  "warnings": []\n}\n')
})

test.skipIf(noScript !== null)(
  'on a terminal list ends after the newest thousand, and says how to read on',
  async () => {
    const { directory } = openHome()
    fillRecord(directory, 1_001)
    const lines = await onTerminal(directory, 'list')
    expect(lines.filter((line) => line.includes('file is missing  server'))).toHaveLength(1_000)
    expect(lines.some((line) => line.startsWith('host0.localhost '))).toBe(false)
    expect(lines.join(' ')).toContain('These are the newest 1000. To read on: ')
    fillRecord(directory, 1_000)
    expect((await onTerminal(directory, 'list')).join(' ')).not.toContain('These are the newest')
  },
)
