import { spawnSync } from 'node:child_process'
import { chmodSync, copyFileSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import {
  isPortsUnit,
  portSockets,
  portsUnits,
  readPortsService,
  type PortsUnitsOptions,
} from '../../../src/daemon/service/ports-units.ts'
import { scrubbedEnvironment } from '../../helpers/scrubbed.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'
import { notInstalled } from '../../outside/e2e/client.ts'

const plain: PortsUnitsOptions = {
  command: { program: '/bin/true', args: ['daemon', 'run'], home: '/home/ada/state' },
  uid: 1000,
  sockets: portSockets,
  ipv6: true,
}

/** Directories that people have, and ones with what systemd reads as something else. */
const odd = [
  'a b',
  '100% %n %%',
  '$HOME ${HOME} $$',
  'say "hi"',
  "it's",
  'back\\slash\\',
  'line\nUser=0\nExecStartPre=/bin/false',
  'return\rUser=0',
  'tab\tbell\u0007 \u007f',
  '#comment ; x',
  'é …',
]

const of = (name: string): PortsUnitsOptions => ({
  ...plain,
  command: { program: `/opt/${name}/node`, args: [name, '', '--ca', name], home: `/h/${name}` },
})

test.each(odd)('the words of %j are read back as they were', (name) => {
  const [service] = portsUnits(of(name))
  const text = service?.contents ?? ''
  expect(isPortsUnit(text)).toBe(true)
  // One line each, whatever is in a path.
  expect(text.match(/^\w+=/gm)).toEqual(portsUnits(plain)[0]?.contents.match(/^\w+=/gm))
  expect(readPortsService(text)).toEqual({
    uid: 1000,
    home: `/h/${name}`,
    authority: name,
    words: [`/opt/${name}/node`, name, '', '--ca', name],
  })
})

test('of the units a person’s changes are known', () => {
  const [service, https, http] = portsUnits(plain)
  for (const { contents } of [service, https, http].flatMap((unit) => unit ?? [])) {
    expect(isPortsUnit(contents)).toBe(true)
    expect(isPortsUnit(contents.replace('[Unit]', '[Unit]\nAfter=network.target'))).toBe(false)
    expect(isPortsUnit(contents.replace(/^# Written.*\n/, ''))).toBe(false)
    expect(isPortsUnit(`${contents}\n[Service]\nExecStartPre=/bin/sh -c x\n`)).toBe(false)
  }
  const root = service?.contents.replace('User=1000', 'User=ada') ?? ''
  expect(readPortsService(root)).toBeNull()
  expect(readPortsService('')).toBeNull()
})

test('only loopback is listened on, and ::1 only where it is', () => {
  const listening = (options: PortsUnitsOptions) =>
    portsUnits(options).flatMap(({ contents }) => contents.match(/(?<=^ListenStream=).*/gm) ?? [])
  expect(listening(plain)).toEqual(['127.0.0.1:443', '[::1]:443', '127.0.0.1:80', '[::1]:80'])
  expect(listening({ ...plain, ipv6: false })).toEqual(['127.0.0.1:443', '127.0.0.1:80'])
  const [https] = portSockets
  if (https === undefined) throw new Error('there is no port')
  const units = portsUnits({ ...plain, sockets: [https] })
  expect(units.map(({ name }) => name)).toEqual(['rootling.service', 'rootling-https.socket'])
  expect(units[0]?.contents).toContain('\nSockets=rootling-https.socket\n')
})

const obstacle = await notInstalled('systemd-analyze')
describe.skipIf(obstacle !== null)(`systemd-analyze verify${obstacle ?? ''}`, () => {
  /** What it says of the units; nothing: they are sound, and the program is there. */
  async function verify(options: PortsUnitsOptions, change = (text: string) => text) {
    const directory = await temporaryDirectory()
    const units = portsUnits(options)
    for (const { name, contents } of units) writeFileSync(join(directory, name), change(contents))
    const env = scrubbedEnvironment(directory, { SYSTEMD_UNIT_PATH: `${directory}:` })
    const args = ['verify', '--man=no', ...units.map(({ name }) => join(directory, name))]
    const { status, stderr } = spawnSync('systemd-analyze', args, { env, encoding: 'utf8' })
    return { status, stderr: stderr.split('\n').filter((line) => line.includes('rootling')) }
  }

  test('finds nothing in the units of a plain command', async () => {
    expect(await verify(plain)).toEqual({ status: 0, stderr: [] })
  })

  test.each(odd)('finds the program in a directory named %j', async (name) => {
    const directory = join(await temporaryDirectory(), name)
    const program = join(directory, 'node')
    mkdirSync(directory, { recursive: true })
    copyFileSync('/bin/true', program)
    chmodSync(program, 0o755)
    const command = { program, args: odd, home: directory }
    expect(await verify({ ...plain, command })).toEqual({ status: 0, stderr: [] })
  })

  test('says so where a unit is wrong', async () => {
    const wrong = await verify(plain, (text) =>
      text.replace('ListenStream=127', 'ListenStream=x127'),
    )
    expect(wrong.stderr.join('\n')).toContain("'x127.0.0.1:443'")
    const absent = { ...plain, command: { ...plain.command, program: '/nowhere/node' } }
    expect((await verify(absent)).status).not.toBe(0)
  })
})
