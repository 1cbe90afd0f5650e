import { expect, test } from 'vitest'
import { runByExeca, runChild } from '../../platform/child.ts'

// On Windows every command runs by `runByExeca`; what it says of a command does not depend on that.
test.each([runChild, runByExeca])('%o says how a command ended', async (run) => {
  const { env } = process
  expect(await run('sh', ['-c', 'exit 7'], env)).toEqual({ code: 7 })
  expect(await run('sh', ['-c', 'exit "$CODE"'], { ...env, CODE: '8' })).toEqual({ code: 8 })
  expect(await run('sh', ['-c', 'kill -TERM $$'], env)).toEqual({ signal: 'SIGTERM' })
  expect(await run('no-such-program', [], env)).toMatchObject({ error: { code: 'ENOENT' } })
})
