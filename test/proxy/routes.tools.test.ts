import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { ensureAuthority } from '../../src/authority/create.ts'
import { addRoute, isLive, readRoutes } from '../../src/proxy/kept-routes.ts'
import type { Route } from '../../src/proxy/routes.ts'
import { temporaryState } from '../helpers/temporary.ts'

test('a route of a command ends with it, also by a kill', async () => {
  const state = await temporaryState()
  await ensureAuthority(state, new Date())
  const free: Route = {
    host: 'run.localhost',
    path: '/',
    to: 'http://localhost:3000',
    changeOrigin: false,
    owner: { kind: 'hand' },
  }
  const child = spawn('sleep', ['100'])
  const stat = readFileSync(`/proc/${child.pid}/stat`, 'latin1').replace(/^.*\) /s, '')
  const started = stat.split(' ')[19] ?? ''
  const own = (pid: number, start: string): Route => ({
    ...free,
    owner: { kind: 'run', pid, started: start },
  })
  expect(isLive(own(child.pid ?? 0, started))).toBe(true)
  // Another process may get the number of one that has ended.
  expect(isLive(own(child.pid ?? 0, '1'))).toBe(false)
  await addRoute(state, own(child.pid ?? 0, started))
  expect(await readRoutes(state)).toHaveLength(1)
  const ended = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGKILL')
  await ended
  expect(await readRoutes(state)).toEqual([])
  // Its name is free, and the next change forgets it.
  expect(await addRoute(state, free)).toEqual({ change: 'added', before: null })
})
