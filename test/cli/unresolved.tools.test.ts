import { expect, test } from 'vitest'
import { openHome } from '../helpers/home.ts'
import { waitFor } from '../helpers/subprocess.ts'

const line = 'rootling hosts add never-here.test not-here.test'

test('issue and serve say in one note which command adds what the hosts file lacks', async () => {
  const { rootling, createAuthority, serve } = openHome()
  await createAuthority()
  const names = ['localhost', 'never-here.test', 'not-here.test', '*.never-here.test']
  const issued = await rootling(['issue', ...names])
  expect(issued.exitCode).toBe(0)
  expect(issued.stderr.split(line)).toHaveLength(2)
  expect(issued.stderr).toContain('are not in /etc/hosts')
  for (const more of [['--quiet'], ['--json']])
    expect((await rootling(['issue', ...names, ...more])).stderr).not.toContain('/etc/hosts')
  // A client's name is nobody's host.
  const client = await rootling(['issue', '--client', 'never-here.test'])
  expect(client.stderr).not.toContain('/etc/hosts')
  const { log } = await serve(names)
  await waitFor('the note', () => (log().includes(line) ? true : null))
})
