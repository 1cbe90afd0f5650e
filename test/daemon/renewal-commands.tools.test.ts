import { existsSync } from 'node:fs'
import { chmod, readFile, writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { waitFor } from '../helpers/subprocess.ts'
import { isAlive } from './daemon-home.ts'
import { day, minute, renewalWorld } from './renewal-world.ts'

/** A certificate that is due, with a command for after its renewal. */
async function worldWith(onRenew: (path: (name: string) => string) => string) {
  const world = await renewalWorld()
  const { serialNumber } = await world.issue('shop.test', { onRenew: onRenew(world.path) })
  world.jump(61 * day)
  const isRenewed = async () =>
    (await world.leaf('shop.test')).serialNumber.toLowerCase() !== serialNumber
  return { ...world, isRenewed, read: (name: string) => readFile(world.path(name), 'utf8') }
}

test('the command runs once after the renewal, for several certificates too, and the log says so', async () => {
  const { issue, jump, loop, lines, path, read } = await worldWith(
    (path) => `cat ${path('shop.test.pem')} >> ${path('seen')}`,
  )
  jump(-61 * day)
  await issue('second.test', { onRenew: `cat ${path('shop.test.pem')} >> ${path('seen')}` })
  jump(61 * day)
  const { check, failures } = await loop()
  await check()
  expect(await read('seen')).toBe(await read('shop.test.pem'))
  expect(lines.at(-1)).toBe(`ran cat ${path('shop.test.pem')} >> ${path('seen')}`)
  await check()
  expect(await read('seen')).toBe(await read('shop.test.pem'))
  expect(failures()).toEqual([])
})

test('one that fails is told with what it said, and run again until it succeeds', async () => {
  const { jump, loop, lines, path, read, isRenewed, leaf } = await worldWith(
    (path) =>
      `echo try >> ${path('tries')}; echo no such server >&2; test -e ${path('server')} || exit 7`,
  )
  const { check, failures } = await loop()
  await check()
  expect(await isRenewed()).toBe(true)
  const { serialNumber } = await leaf('shop.test')
  expect(lines.at(-1)).toMatch(
    /^for shop\.test: echo try .+ failed with exit code 7\. no such server Next try \S+Z$/,
  )
  expect(failures()).toMatchObject([{ serialNumber: serialNumber.toLowerCase(), failures: 1 }])
  jump(minute - 1)
  await check()
  expect(await read('tries')).toBe('try\n')
  jump(1)
  await check()
  expect(failures()).toMatchObject([{ failures: 2 }])
  await writeFile(path('server'), '')
  jump(2 * minute)
  await check()
  expect(failures()).toEqual([])
  expect(await read('tries')).toBe('try\ntry\ntry\n')
  expect(lines.at(-1)).toMatch(/^ran /)
  // Only the command was run again.
  expect((await leaf('shop.test')).serialNumber).toBe(serialNumber)
})

test('one that hangs is stopped with its children, and the next one runs', async () => {
  const { issue, jump, loop, lines, path, read } = await worldWith(
    (path) => `sh -c 'echo $$ > ${path('pid')}; sleep 1000'; true`,
  )
  jump(-61 * day)
  await issue('second.test', { onRenew: `touch ${path('ran')}` })
  jump(61 * day)
  const { check, failures } = await loop({ commandMilliseconds: 1_500 })
  await check()
  expect(failures()).toMatchObject([
    { names: ['shop.test'], reason: expect.stringMatching(/ was stopped after 1\.5 seconds\.$/) },
  ])
  expect(existsSync(path('ran'))).toBe(true)
  expect(lines.filter((line) => line.startsWith('renewed'))).toHaveLength(2)
  const pid = Number(await read('pid'))
  await waitFor('the end of what hung', () => (isAlive(pid) ? null : true))
})

test('one that ignores SIGTERM is killed', async () => {
  const { loop, read } = await worldWith(
    (path) => `trap '' TERM; echo $$ > ${path('pid')}; while true; do sleep 0.1; done`,
  )
  const { check, failures } = await loop({ commandMilliseconds: 500 })
  await check()
  expect(failures()).toHaveLength(1)
  expect(isAlive(Number(await read('pid')))).toBe(false)
})

test('one that runs when the daemon stops is ended, and what was renewed stands', async () => {
  const { loop, read, path, isRenewed } = await worldWith(
    (path) => `echo $$ > ${path('pid')}; sleep 1000; true`,
  )
  const { check, stop, failures } = await loop()
  const checked = check()
  await waitFor('the command', () => (existsSync(path('pid')) ? true : null))
  await stop()
  await checked
  expect(await isRenewed()).toBe(true)
  expect(failures()).toMatchObject([
    { reason: expect.stringMatching(/stopped with the daemon\.$/) },
  ])
  const pid = Number(await read('pid'))
  await waitFor('the end of the command', () => (isAlive(pid) ? null : true))
})

test('what it prints is no trouble: twenty megabytes are read, and of an error the end is logged', async () => {
  const { loop, lines } = await worldWith(
    () =>
      `head -c 20000000 /dev/zero | tr '\\0' x; head -c 20000000 /dev/zero | tr '\\0' y >&2; echo end >&2; exit 3`,
  )
  await (await loop()).check()
  const said = lines.at(-1) ?? ''
  expect(said).toMatch(/failed with exit code 3\. y+end Next try/)
  expect(said.length).toBeLessThan(1_000)
})

test.each([
  ['succeeds', 0, /^ran sleep 1000 &/],
  ['fails', 1, /failed with exit code 1\./],
])(
  'a server that it leaves in the background is not waited for when it %s, and lives',
  async (_, exitCode, line) => {
    const { loop, lines, read } = await worldWith(
      (path) => `sleep 1000 & echo $! > ${path('pid')}; exit ${exitCode}`,
    )
    await (await loop({ commandMilliseconds: 30_000 })).check()
    const pid = Number(await read('pid'))
    const lived = isAlive(pid)
    process.kill(pid, 'SIGKILL')
    expect([lived, lines.at(-1)]).toEqual([true, expect.stringMatching(line)])
  },
)

test.each([
  ['whole', 'cat KEY >&2'],
  ['from its middle on', 'tail -n +2 KEY >&2'],
  ['cut off', 'head -n 3 KEY >&2'],
  ['after much else', 'head -c 60000 /dev/zero | tr "\\0" x >&2; cat KEY >&2; echo after >&2'],
])('a private key that it prints, %s, stands in no log', async (_, command) => {
  const { loop, lines, read } = await worldWith(
    (path) => `${command.replace('KEY', path('shop.test-key.pem'))}; exit 1`,
  )
  const { check, failures } = await loop()
  await check()
  const key = (await read('shop.test-key.pem')).split('\n').slice(1, -2)
  expect(key.length).toBeGreaterThan(1)
  const told = lines.join('\n') + JSON.stringify(failures())
  expect(told).toContain('failed with exit code 1. ')
  expect(told).toContain('(a private key)')
  for (const line of key) expect(told).not.toContain(line)
})

test('a command that cannot be run is a failure like another', async () => {
  const { loop, path } = await worldWith((path) => path('not-executable'))
  await writeFile(path('not-executable'), '#!/bin/sh\n')
  await chmod(path('not-executable'), 0o644)
  const { check, failures } = await loop()
  await check()
  expect(failures()).toMatchObject([
    { reason: expect.stringMatching(/failed with exit code 126\. .*Permission denied$/) },
  ])
})
