import { existsSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { run, type Finished } from '../../helpers/subprocess.ts'
import type { World } from './world.ts'

/** One system call of a command upon its own files: the `when`th of that name in its thread. */
export interface Point {
  readonly call: string
  readonly when: number
  /** As strace wrote it. */
  readonly line: string
}

/** Why nothing can be traced here, for the title of a skipped test; `null`: it can. */
export function untraceable(): string | null {
  return existsSync('/usr/bin/strace') ? null : 'strace is not installed'
}

const calls =
  'openat,write,pwrite64,fsync,ftruncate,rename,unlink,rmdir,mkdir,fchmod,fchown,chown,chmod'

/**
 * Every call of a command that names one of the world's files, in order. Each thread counts its
 * own: all but fsync are the main thread's, and those are the pool's, which has one thread here.
 */
export async function pointsOf(world: World, line: readonly string[]): Promise<Point[]> {
  const log = join(world.root, 'strace.log')
  const { exitCode, stderr } = await traced(world, log, ['-f', '--seccomp-bpf'], line)
  if (exitCode !== 0) throw new Error(`${line.join(' ')}: ${stderr}`)
  const counts = new Map<string, number>()
  const points: Point[] = []
  for (const text of readFileSync(log, 'utf8').split('\n')) {
    const [, thread, call] = /^(\d+)\s+(\w+)\(/.exec(text) ?? []
    if (thread === undefined || call === undefined) continue
    const when = (counts.get(`${thread} ${call}`) ?? 0) + 1
    counts.set(`${thread} ${call}`, when)
    if (isOfWorld(text, world)) points.push({ call, when, line: text })
  }
  rmSync(log)
  return points
}

/** Whether a call names a file of the world, whatever directory the command runs in. */
const isOfWorld = (text: string, { root }: World): boolean =>
  text.replace(/AT_FDCWD<[^>]*>/g, '').includes(root)

/** Runs a command with something done to it at a point; `reached`: it was, and upon our file. */
export async function runWith(
  world: World,
  { call, when }: Point,
  what: string,
  line: readonly string[],
): Promise<Finished & { readonly reached: boolean }> {
  const log = `${world.root}.strace`
  // The pool wakes the main thread by a write of its own, which must not be taken for one of the command.
  const whose = call === 'fsync' ? ['-f'] : []
  const inject = [...whose, '-e', `inject=${call}:${what}:when=${when}`]
  const finished = await traced(world, log, inject, line)
  const text = readFileSync(log, 'utf8')
  rmSync(log)
  const killed = what === 'signal=KILL' && text.includes('killed by SIGKILL')
  const injected = text.split('\n').filter((entry) => entry.includes('(INJECTED)'))
  const reached = killed || injected.some((entry) => isOfWorld(entry, world))
  return { ...finished, reached }
}

async function traced(
  { env }: World,
  log: string,
  options: readonly string[],
  line: readonly string[],
): Promise<Finished> {
  const trace = ['-y', '-s', '4096', '-o', log, '-e', `trace=${calls}`]
  return run('strace', [...trace, ...options, '--', ...line], env)
}
