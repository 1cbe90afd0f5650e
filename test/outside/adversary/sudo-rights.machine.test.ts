import { randomBytes } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openPeople, peopleUnavailable, type People } from './people.ts'

// What a program of Ada's, who may call sudo, leaves in her directories must not become root's deed
// when she calls Rootling with sudo.

const obstacle = await peopleUnavailable()
const skipNote = obstacle === null ? '' : ` [skipped: ${obstacle}]`

describe.skipIf(obstacle !== null)(`under sudo${skipNote}`, () => {
  let people: People
  let state: string
  beforeEach(async () => {
    people = await openPeople()
    state = `${people.ada.home}/.local/share/rootling`
    const issued = await people.ada.rootling(['localhost'])
    if (issued.exitCode !== 0) throw new Error(issued.stderr)
  })
  afterEach(() => people.namespace.close())

  const root = async (...args: string[]) => rootIn('/', ...args)
  const rootIn = async (directory: string, ...args: string[]) => {
    const { namespace, command, ada } = people
    const id = (await ada.sh('id -u; id -g')).stdout.trim().split('\n')
    const env = { SUDO_UID: id[0] ?? '', SUDO_GID: id[1] ?? '', SUDO_USER: 'ada' }
    return namespace.run('env', [`--chdir=${directory}`, ...command, ...args], { env })
  }
  const owner = async (path: string) =>
    (
      await people.namespace.run('sh', ['-c', 'stat -c "%U %a" "$1" 2>&1 || true', 'sh', path])
    ).stdout.trim()

  test('a planted pending file writes nothing that she could not write', async () => {
    const [line = ''] = (await people.ada.sh(`cat ${state}/certificates.jsonl`)).stdout.split('\n')
    const record = JSON.parse(line) as { serialNumber: string }
    const { serialNumber } = record
    const file = {
      mode: 0o644,
      owner: { uid: 0, gid: 0 },
      before: null,
      base64: Buffer.from('* * * * * root id\n').toString('base64'),
    }
    for (const change of [{}, { owner: undefined }, { mode: 0o4755, path: '/usr/local/share/s' }]) {
      const files = [{ ...file, path: '/etc/cron.d/pwn', ...change }]
      const pending = JSON.stringify({ record, files })
      await people.ada.sh(
        `umask 077; mkdir -p ${state}/pending; printf %s "$1" > ${state}/pending/${serialNumber}.json`,
        pending,
      )
      await root('list')
      await root('renew', 'localhost')
      for (const { path } of files) expect(await owner(path)).toMatch(/No such file/)
    }
  })

  test('a path in the record is written with her rights', async () => {
    const name = randomBytes(4).toString('hex')
    await people.ada.sh(
      `sed -i s#${people.ada.home}/localhost.pem#/etc/profile.d/${name}.sh#g ${state}/certificates.jsonl`,
    )
    await people.namespace.must('cp', [
      `${people.ada.home}/localhost.pem`,
      `/etc/profile.d/${name}.sh`,
    ])
    const before = await owner(`/etc/profile.d/${name}.sh`)
    expect(before).toBe('root 644')
    const renewed = await root('renew', 'localhost')
    expect(renewed.exitCode).toBe(1)
    expect(renewed.stdout + renewed.stderr).toContain('could not be written')
    expect(await owner(`/etc/profile.d/${name}.sh`)).toBe(before)
  })

  test('a link in the place of the state directory leads root nowhere', async () => {
    await people.ada.sh('mv .local/share .local/old; ln -s /etc .local/share')
    const refused = await root('localhost', '--force')
    expect(refused.exitCode).not.toBe(0)
    expect(await owner('/etc/rootling')).toMatch(/No such file/)
  })

  test('a path in a rootling.json is written with her rights', async () => {
    const { ada } = people
    await ada.sh('mkdir -p app/.git; echo ref: refs/heads/main > app/.git/HEAD')
    const wanted = {
      version: 1,
      certificates: [{ names: ['localhost'], cert: 'c.pem', key: 'k.pem' }],
    }
    await ada.sh('printf %s "$1" > app/rootling.json', JSON.stringify(wanted))
    await people.namespace.must('sh', [
      '-c',
      'chown root "$1"; chmod 1755 "$1"',
      'sh',
      `${ada.home}/app`,
    ])
    const refused = await rootIn(`${ada.home}/app`, 'up', '--yes', '--stores', 'none')
    expect(`${refused.exitCode} ${refused.stdout}${refused.stderr}`).toMatch(/^3 [^]*c\.pem/)
    expect(await owner(`${ada.home}/app/c.pem`)).toMatch(/No such file/)
  })

  test('what she asks for still works, also in a directory of root’s', async () => {
    await people.namespace.must('mkdir', ['/etc/app'])
    const issued = await root('shop.test', '--out-dir', '/etc/app')
    expect(issued).toMatchObject({ exitCode: 0 })
    expect(await owner('/etc/app/shop.test-key.pem')).toBe('ada 600')
    expect(await root('renew', 'localhost')).toMatchObject({ exitCode: 0 })
    expect(await owner(`${people.ada.home}/localhost-key.pem`)).toBe('ada 600')
    expect(await people.ada.rootling(['renew', 'localhost'])).toMatchObject({ exitCode: 0 })
  })
})
