import { writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { useTeam } from './team.ts'

const team = useTeam()

test('a cut end of the audit is found by what an earlier check printed', async () => {
  const { owner } = await team.database()
  const init = ['server', 'init', '--permit', 'team.internal', ...team.keyFile()]
  await team.json([...init, '--database', owner])
  const verify = ['server', 'audit', 'verify', '--database', owner]
  const heads = team.file('heads.json')
  const before = await team.json(verify)
  await writeFile(heads, JSON.stringify(before))
  expect(before).toMatchObject({ faults: [], replicas: [expect.anything()] })
  expect(await team.json([...verify, '--heads', heads])).toEqual(before)
  await team.postgres.server.psql(owner, 'delete from rootling.audit')
  expect(await team.json(verify)).toMatchObject({ rows: 0, faults: [] })
  const found = await team.rootling([...verify, '--heads', heads])
  expect(found.stdout).toMatch(/^\S+ 1: missing$/m)
  expect(found.exitCode).toBe(1)
  for (const text of ['', '{', '[]', 'null', '{"replicas":[{"replica":"a","n":1}]}']) {
    await writeFile(heads, text)
    const refused = await team.rootling([...verify, '--heads', heads])
    expect([text, refused.exitCode]).toEqual([text, 2])
    expect(refused.stderr).toContain('is not what an earlier verify printed.')
  }
  const absent = await team.rootling([...verify, '--heads', team.file('none.json')])
  expect(absent.stderr).toContain('There is no file')
})
