import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { namespaceUnavailable } from '../helpers/namespace.ts'
import { createAuthority, rootlingIn } from '../helpers/rootling.ts'
import { testNamespace } from '../helpers/test-namespace.ts'

const tool = '/usr/sbin/update-ca-certificates'
const reason = namespaceUnavailable() ?? (existsSync(tool) ? null : `${tool} is not installed`)
const skipped = reason === null ? '' : ` [skipped: ${reason}]`

test.skipIf(reason !== null)(
  `the key of a private scope is not printed once a store trusts its root${skipped}`,
  async () => {
    const namespace = await testNamespace()
    await createAuthority(namespace)
    const rootling = rootlingIn(namespace)
    const { stdout } = await rootling.must(['ca', 'permit', '--private', 'cluster'])
    const print = ['kubernetes', '--secret', 'cluster']
    expect((await rootling.must(print)).stdout).toContain('PRIVATE KEY')

    const anchor = '/usr/local/share/ca-certificates/by-hand.crt'
    await namespace.must('cp', [stdout.trim(), anchor])
    await namespace.must(tool, [])
    for (const args of [print, [...print, '--yes']]) {
      const refused = await rootling.run(args)
      expect([refused.exitCode, refused.stdout]).toEqual([2, ''])
      expect(refused.stderr).toMatch(
        /^Error: The root of the scope cluster is in a trust store .*System store.*\n.*ca permit --private cluster\n$/,
      )
    }
  },
)

test.skipIf(reason !== null)(
  `nor where a store that cannot be read may trust its root, without --yes${skipped}`,
  async () => {
    const namespace = await testNamespace()
    await createAuthority(namespace)
    const rootling = rootlingIn(namespace)
    await rootling.must(['ca', 'permit', '--private', 'cluster'])
    const database = join(namespace.home, '.pki/nssdb')
    await namespace.must('mkdir', ['-p', database])
    await namespace.must('certutil', ['-N', '-d', `sql:${database}`, '--empty-password'])
    const print = ['kubernetes', '--secret', 'cluster']
    expect((await rootling.must(print)).stdout).toContain('PRIVATE KEY')

    await namespace.writeFile(join(database, 'cert9.db'), 'no database of anybody')
    const refused = await rootling.run(print)
    expect([refused.exitCode, refused.stdout]).toEqual([2, ''])
    expect(refused.stderr).toMatch(
      /^Error: The root of the scope cluster may be in a trust store that cannot be read \(Chromium \(~\/\.pki\/nssdb\)\), .*\n.* If it is in none: rootling kubernetes --secret cluster --yes\n$/,
    )
    expect((await rootling.must([...print, '--yes'])).stdout).toContain('PRIVATE KEY')
  },
)
