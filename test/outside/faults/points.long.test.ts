import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { violations } from '../crash/invariants.ts'
import { bundleChild, settle, type Bundle } from '../crash/processes.ts'
import { run } from '../../helpers/subprocess.ts'
import { subjects, type Subject } from './commands.ts'
import { long, tally } from '../../helpers/long.ts'
import { pointsOf, runWith, untraceable, type Point } from './points.ts'
import { looseKeys, openWorld, templateOf, unfriendly, type Template, type World } from './world.ts'

let bundle: Bundle

beforeAll(async () => {
  bundle = await bundleChild()
})
afterAll(() => bundle.remove())

/** A command's own world as it was before, with every point at which it touches a file of it. */
async function prepared(subject: Subject): Promise<{ template: Template; points: Point[] }> {
  const world = await openWorld()
  await subject.prepare(world)
  const template = await templateOf(world)
  const points = await pointsOf(world, subject.line(world, bundle))
  expect(points.length).toBeGreaterThan(5)
  return { template, points }
}

/** In the short form some of them, at other places in each run. */
function some<T>(all: readonly T[], count: number): T[] {
  if (long) return [...all]
  const step = all.length / count
  const offset = Math.random() * step
  return Array.from({ length: count }, (_, i) => all[Math.floor(offset + i * step)]).filter(
    (one): one is T => one !== undefined,
  )
}

/** Runs it to its end over what an accident left, and gives what is wrong then. */
async function aftermath(subject: Subject, world: World): Promise<string[]> {
  const [program = '', ...args] = subject.line(world, bundle)
  const { exitCode, stderr } = await run(program, args, world.env)
  if (exitCode !== 0) return [`the next ${subject.title} failed: ${stderr}`]
  await settle(world.state)
  return [...(await violations(world.state, world.out)), ...(await subject.done(world))]
}

/** A kill before a read is one before the next change. */
const changes = ({ call, line }: Point): boolean => call !== 'openat' || line.includes('O_CREAT')

/** What a call can answer with on a disk that is full, broken, or suddenly read-only; in turn. */
function errorOf({ call, line }: Point, turn: number): string {
  const errors =
    call === 'openat' && !line.includes('O_CREAT') ? ['EIO', 'EACCES'] : ['ENOSPC', 'EIO', 'EROFS']
  return errors[turn % errors.length] ?? ''
}

const turn = Math.floor(Math.random() * 6)
const options = { timeout: long ? 18_000_000 : 900_000 }

describe.skipIf(untraceable() !== null)(
  `disturbed at single system calls${untraceable() ?? ''}`,
  () => {
    test.each(subjects)(
      '$title leaves all whole when it is killed at any call upon its files',
      options,
      async (subject) => {
        const { template, points } = await prepared(subject)
        const { world } = template
        let killed = 0
        const wrong: string[] = []
        for (const point of some(points.filter(changes), 2)) {
          await template.restore()
          const { reached } = await runWith(
            world,
            point,
            'signal=KILL',
            subject.line(world, bundle),
          )
          killed += Number(reached)
          const found = [...(await looseKeys(world)), ...(await aftermath(subject, world))]
          wrong.push(...found.map((fault) => `killed at ${point.line}: ${fault}`))
        }
        expect(wrong).toEqual([])
        tally(`kills at a call of ${subject.title}`, killed)
        expect(killed).toBeGreaterThan(long ? points.filter(changes).length * 0.9 : 0)
      },
    )

    test.each(subjects)(
      '$title says in one sentence which call upon its files failed, and leaves all whole',
      options,
      async (subject) => {
        const { template, points } = await prepared(subject)
        const { world } = template
        const faults = points.map((point, i) => ({ point, error: errorOf(point, i + turn) }))
        let done = 0
        const wrong: string[] = []
        for (const { point, error } of some(faults, 3)) {
          await template.restore()
          const line = subject.line(world, bundle)
          const finished = await runWith(world, point, `error=${error}`, line)
          const found = [...(await looseKeys(world))]
          if (finished.reached) {
            done += 1
            // What can be done without is done without, and said only by what did not need it.
            if (finished.exitCode !== 0) found.push(...unfriendly(finished))
          }
          found.push(...(await aftermath(subject, world)))
          wrong.push(...found.map((fault) => `${error} of ${point.line}: ${fault}`))
        }
        expect(wrong).toEqual([])
        tally(`errors in a call of ${subject.title}`, done)
        expect(done).toBeGreaterThan(long ? faults.length * 0.9 : 0)
      },
    )
  },
)
