import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openHome } from '../helpers/home.ts'

test.skipIf(process.platform === 'win32')(
  'status and doctor say that others can write to the record, and renew runs no command of it',
  async () => {
    const { rootling, json, createAuthority, directory } = openHome()
    await createAuthority()
    const planted = join(directory, 'planted')
    await rootling(['issue', 'a.test', '--on-renew', `touch ${planted}`])
    const path = join(directory, 'state/certificates.jsonl')
    const due = readFileSync(path, 'utf8').replaceAll(
      /"notBefore":"[^"]*","notAfter":"[^"]*"/g,
      '"notBefore":"2020-01-01T00:00:00.000Z","notAfter":"2020-02-01T00:00:00.000Z"',
    )
    writeFileSync(path, due)
    chmodSync(path, 0o666)
    const sentence = `Others can write to the record ${path} (mode 0666).`
    const command = `chmod go-w ${path}`
    const certificate = readFileSync(join(directory, 'a.test.pem'), 'utf8')
    for (const args of [
      ['renew', '--due'],
      ['renew', 'a.test'],
      ['renew', '--all'],
    ])
      expect(await json(args)).toMatchObject({
        exitCode: 1,
        value: { error: { code: 'loose-key', message: sentence, hint: command } },
      })
    expect((await rootling(['status'])).stderr).toContain(
      `Warning: ${sentence} Nothing is renewed until this is mended: ${command}`,
    )
    // It is not safe, so that --fix leaves it: a person should first see what others wrote to it.
    const finding = { code: 'loose-key', subject: path, sentence, command, safe: false }
    expect((await json(['doctor'])).value).toMatchObject({
      findings: expect.arrayContaining([expect.objectContaining(finding)]),
    })
    expect(readFileSync(join(directory, 'a.test.pem'), 'utf8')).toBe(certificate)
    expect(existsSync(planted)).toBe(false)
    chmodSync(path, 0o600)
    expect(await rootling(['renew', '--due'])).toMatchObject({ exitCode: 0 })
    expect(existsSync(planted)).toBe(true)
  },
)
