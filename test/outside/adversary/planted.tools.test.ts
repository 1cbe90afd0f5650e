import { createPrivateKey, X509Certificate } from 'node:crypto'
import {
  chmod,
  chown,
  link,
  lstat,
  mkdir,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { openHome } from '../../helpers/home.ts'
import { killGroup, start } from '../../helpers/subprocess.ts'
import { runTool } from '../../helpers/tools.ts'
import { temporaryDirectory, temporaryState } from '../../helpers/temporary.ts'
import { issue, type IssueRequest } from '../../../src/certificates/issue.ts'
import { settleInterrupted } from '../../../src/storage/files/settle.ts'
import { renew } from '../../../src/certificates/renew.ts'
import { ensureAuthority } from '../../../src/authority/create.ts'
import { readRecord } from '../../../src/storage/files/record.ts'

// What somebody put where we read or write: links, pipes, devices, directories of their own.

const now = new Date()
const isRoot = process.getuid?.() === 0
const rootOnly = isRoot ? '' : ' (skipped: only root can give files away)'
const modeOf = async (path: string) => ((await lstat(path)).mode & 0o777).toString(8)

async function place() {
  const state = await temporaryState()
  const { scope } = await ensureAuthority(state, now)
  const outDir = await temporaryDirectory()
  const victim = join(await temporaryDirectory(), 'victim')
  await writeFile(victim, 'precious\n', { mode: 0o644 })
  const files = {
    certPath: join(outDir, 'cert.pem'),
    keyPath: join(outDir, 'key.pem'),
    extra: {
      chain: join(outDir, 'chain.pem'),
      der: join(outDir, 'cert.der'),
      full: join(outDir, 'full.pem'),
      pkcs12: join(outDir, 'cert.p12'),
    },
  }
  const request: IssueRequest = {
    names: ['app.localhost'],
    files,
    pkcs12: { password: 'x', legacy: false },
  }
  return {
    state,
    scope,
    outDir,
    victim,
    files,
    outputs: [files.certPath, files.keyPath, ...Object.values(files.extra)],
    issue: (options: Partial<IssueRequest> = {}) => issue(state, { ...request, ...options }, now),
    untouched: async () => {
      expect(await readFile(victim, 'utf8')).toBe('precious\n')
      expect(await modeOf(victim)).toBe('644')
    },
  }
}

describe('a symbolic link at an output path', () => {
  test('is not followed: where it would be replaced, it needs --force, and then it alone goes', async () => {
    for (const index of [0, 1, 2, 3, 4, 5]) {
      const { victim, outputs, issue, untouched } = await place()
      const path = outputs[index] ?? ''
      await symlink(victim, path)
      if (index < 2)
        await expect(issue()).rejects.toMatchObject({
          code: 'file-unreadable',
          message: expect.stringContaining('symbolic link'),
        })
      await issue({ force: true })
      await untouched()
      expect((await lstat(path)).isFile()).toBe(true)
      expect(await modeOf(path)).toBe(/key|full|p12/.test(path) ? '600' : '644')
    }
  })

  test('that dangles creates nothing where it points', async () => {
    const { outDir, files, issue } = await place()
    const nowhere = join(await temporaryDirectory(), 'created')
    await symlink(nowhere, files.keyPath)
    await expect(issue()).rejects.toMatchObject({ code: 'file-unreadable' })
    await issue({ force: true })
    await expect(lstat(nowhere)).rejects.toMatchObject({ code: 'ENOENT' })
    expect((await lstat(join(outDir, 'key.pem'))).isFile()).toBe(true)
  })

  test('is followed as --out-dir, with the modes that every key has', async () => {
    const { state, outDir } = await place()
    const link = join(await temporaryDirectory(), 'link')
    await symlink(outDir, link)
    await issue(state, { names: ['localhost'], files: { outDir: link } }, now)
    expect(await modeOf(join(outDir, 'localhost-key.pem'))).toBe('600')
  })
})

test('a hard link to the old key’s file shows neither the new key nor a new mode', async () => {
  const { files, issue } = await place()
  await issue()
  const elsewhere = join(await temporaryDirectory(), 'elsewhere')
  await link(files.keyPath, elsewhere)
  const old = await readFile(elsewhere, 'utf8')
  await chmod(elsewhere, 0o644)
  await issue({ force: true })
  expect(await readFile(elsewhere, 'utf8')).toBe(old)
  expect(await readFile(files.keyPath, 'utf8')).not.toBe(old)
  expect((await lstat(files.keyPath)).nlink).toBe(1)
  expect(await modeOf(files.keyPath)).toBe('600')
})

describe('what is no file', () => {
  test.each(['cert.pem', 'key.pem', 'chain.pem', 'cert.der', 'full.pem', 'cert.p12'])(
    'a FIFO, a device or a directory as %s is refused, and nothing waits for it',
    async (name) => {
      const { state, outDir, issue } = await place()
      const path = join(outDir, name)
      await runTool('mkfifo', [path])
      const refused = { code: 'state-unwritable', message: `${path} is not a regular file.` }
      await expect(issue({ force: true })).rejects.toMatchObject(refused)
      await rm(path)
      await symlink('/dev/zero', path)
      await expect(issue({ force: true })).rejects.toMatchObject(refused)
      await rm(path)
      await mkdir(path)
      await expect(issue({ force: true })).rejects.toMatchObject({ code: 'state-unwritable' })
      expect(await readRecord(state)).toEqual([])
    },
  )

  const reading = [
    ['show', 'PATH'],
    ['install-client', 'PATH', '--password-file', '/dev/null'],
    ['issue', '--csr', 'PATH'],
    ['issue', 'localhost', '--encrypt-key', '--password-file', 'PATH'],
    ['trust', 'PATH', '--yes'],
    ['get', 'https://localhost:1', '--client-cert', 'PATH', '--client-key', 'PATH'],
    ['revoke', 'PATH'],
    ['renew', 'PATH'],
  ]
  test('as a FIFO or an endless device is read by no command', async () => {
    const home = openHome()
    await home.createAuthority()
    const fifo = join(home.directory, 'fifo')
    await home.run('mkfifo', [fifo])
    const answers = await Promise.all(
      reading.flatMap((line) =>
        [fifo, '/dev/zero', '/dev/tty'].map(async (path) => {
          const words = line.map((word) => (word === 'PATH' ? path : word))
          const { exitCode, stderr } = await home.rootling(words)
          return { words, exitCode, internal: /unexpected/.test(stderr) }
        }),
      ),
    )
    const wrong = answers.filter(
      ({ exitCode, internal }) => internal || ![1, 2].includes(exitCode ?? 0),
    )
    expect(wrong).toEqual([])
  })

  test('where a killed command left its files does not stop the next', async () => {
    const { state, outDir, files, issue } = await place()
    await issue()
    const [first] = await readRecord(state)
    const pending = { path: files.certPath, mode: 0o644, base64: 'AAAA', before: null }
    await writeFile(
      join(state.path, 'pending', `${'a'.repeat(32)}.json`),
      JSON.stringify({ record: first, files: [pending] }),
      { mode: 0o600 },
    )
    await rm(files.certPath)
    await runTool('mkfifo', [join(outDir, 'cert.pem')])
    await settleInterrupted(state)
    expect(await readdir(join(state.path, 'pending'))).toEqual([])
    expect((await lstat(files.certPath)).isFIFO()).toBe(true)
  })
})

describe('in the state directory a symbolic link', () => {
  const planted = [
    'scopes/local/intermediate-key.pem',
    'scopes/local/intermediate.pem',
    'scopes/local/root.pem',
    'scopes/local/scope.json',
    'certificates.jsonl',
    'version',
    'lock',
  ]
  test.each(planted)('in the place of %s is refused; what it points to stays', async (name) => {
    const { state, victim, issue, untouched } = await place()
    await issue()
    const path = join(state.path, name)
    await rename(path, `${path}.old`)
    await symlink(victim, path)
    await expect(issue({ force: true })).rejects.toMatchObject({
      code: expect.stringMatching(/^(?:file-unreadable|state-unwritable|corrupt-state)$/),
    })
    await untouched()
    expect(await readlink(path)).toBe(victim)
  })

  test.skipIf(!isRoot)(
    `that leads to another user’s directory is refused, with sudo too${rootOnly}`,
    async () => {
      const { state } = await place()
      const theirs = await temporaryDirectory()
      await chmod(theirs, 0o755)
      const path = join(await temporaryDirectory(), 'state')
      await symlink(theirs, path)
      const refused = {
        code: 'loose-key',
        message: `The state directory ${path} belongs to another user.`,
      }
      await chown(theirs, 12_345, 12_345)
      await expect(ensureAuthority({ path, owner: null }, now)).rejects.toMatchObject(refused)
      // An authority of theirs is no reason to put its root into our stores.
      await mkdir(join(theirs, 'scopes'))
      await expect(settleInterrupted({ path, owner: null })).rejects.toMatchObject(refused)
      // With sudo we write for a person: through a link of theirs, into what is root's.
      await chown(theirs, 0, 0)
      const owner = { uid: 12_345, gid: 12_345 }
      await expect(ensureAuthority({ path, owner }, now)).rejects.toMatchObject(refused)
      expect(await readdir(theirs)).toEqual(['scopes'])
      await expect(settleInterrupted(state)).resolves.toBeUndefined()
    },
  )
})

test('a directory that takes no directories, as /proc, is named; nothing tries for ever', async () => {
  const { issue } = await place()
  const path = '/proc/x/y'
  const refused = { code: 'state-unwritable', message: expect.stringContaining(path) }
  await expect(issue({ files: { outDir: path } })).rejects.toMatchObject(refused)
  const state = { path, owner: null }
  await expect(ensureAuthority(state, now)).rejects.toMatchObject(refused)
})

test('below a directory that everybody may write to nothing is read or made', async () => {
  const above = await temporaryDirectory()
  const state = { path: join(above, 'state'), owner: null }
  await ensureAuthority(state, now)
  await chmod(above, 0o777)
  const refused = {
    code: 'loose-key',
    message: `Every user can rename what is in ${above}.`,
    hint: `chmod o-w ${above}`,
  }
  await expect(settleInterrupted(state)).rejects.toMatchObject(refused)
  await expect(issue(state, { names: ['localhost'], files: null }, now)).rejects.toMatchObject(
    refused,
  )
  await chmod(above, 0o1777)
  await expect(settleInterrupted(state)).resolves.toBeUndefined()
})

describe('a renewal', () => {
  test('signs no key of a certificate that was put in the old one’s place', async () => {
    const { state, outDir, files, issue } = await place()
    const { record } = await issue()
    const forged = await forge(outDir, record.serialNumber)
    await writeFile(files.certPath, forged)
    const [renewal] = await renew(state, { which: 'all' }, {}, now)
    expect(renewal).toMatchObject({ outcome: 'skipped', reason: expect.stringMatching(/changed/) })
    expect(await readFile(files.certPath, 'utf8')).toBe(forged)
  })

  test.skipIf(!isRoot)(`gives the key to nobody who put a file there${rootOnly}`, async () => {
    const { state, files, issue } = await place()
    await issue()
    const { full } = files.extra
    await rm(full)
    await writeFile(full, await readFile(files.certPath), { mode: 0o644 })
    await chown(full, 12_345, 12_345)
    expect(await renew(state, { which: 'all' }, {}, now)).toMatchObject([{ outcome: 'renewed' }])
    expect(await readFile(full, 'utf8')).toContain('PRIVATE KEY')
    expect([(await lstat(full)).uid, await modeOf(full)]).toEqual([0, '600'])
    // The administrator's own choice is kept.
    await chown(full, 12_345, 12_345)
    await chmod(full, 0o640)
    expect(await renew(state, { which: 'all' }, {}, now)).toMatchObject([{ outcome: 'renewed' }])
    expect([(await lstat(full)).uid, await modeOf(full)]).toEqual([12_345, '640'])
  })

  /** A certificate of somebody's own key, with the number that ours has. */
  async function forge(directory: string, serialNumber: string): Promise<string> {
    const out = join(directory, 'forged.pem')
    const args = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-subj', '/O=forged']
    const number = ['-set_serial', `0x${serialNumber}`, '-keyout', '/dev/null', '-out', out]
    const { exitCode, stderr } = await runTool('openssl', [...args, ...number])
    expect(`${exitCode} ${stderr.includes('rror')}`).toBe('0 false')
    const text = await readFile(out, 'utf8')
    const serial = new X509Certificate(text).serialNumber.toLowerCase().padStart(32, '0')
    expect(serial).toBe(serialNumber)
    return text
  }
})

test('200 certificates, while links, pipes and files are swapped at their paths, overwrite nothing else', async () => {
  const { outDir, victim, files, issue, untouched } = await place()
  const script = `
    cd "$1"
    while :; do
      for name in cert.pem key.pem; do
        ln -sfn "$2" planted && mv -f planted $name
        rm -f $name; mkfifo -m 666 $name; rm -f $name
        ln -sfn /nonexistent/x planted && mv -f planted $name; rm -f $name
        : > planted && chmod 666 planted && mv -f planted $name
      done
    done`
  const swapper = start('sh', ['-c', script, 'sh', outDir, victim], { PATH: '/usr/bin:/bin' })
  onTestFinished(() => killGroup(swapper))
  const pair = { certPath: files.certPath, keyPath: files.keyPath }
  let issued = 0
  for (let round = 0; round < 200; round++) {
    const outcome = await issue({ force: true, files: pair, pkcs12: undefined }).catch(
      (error: { code?: string; message: string }) => error.code ?? error.message,
    )
    if (typeof outcome === 'object') issued++
    else expect(outcome).toMatch(/^(?:state-unwritable|file-unreadable)$/)
  }
  killGroup(swapper)
  await untouched()
  // Refused or issued, each round came to an end, and the last pair is whole.
  expect(issued).toBeGreaterThan(0)
  for (const path of [files.certPath, files.keyPath]) await rm(path, { force: true })
  await issue({ force: true })
  const leaf = new X509Certificate(await readFile(files.certPath))
  expect(leaf.checkPrivateKey(createPrivateKey(await readFile(files.keyPath)))).toBe(true)
  expect(await modeOf(files.keyPath)).toBe('600')
})
