import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { onTestFinished } from 'vitest'
import { killGroup, run, start, type Finished } from '../../helpers/subprocess.ts'

type Environment = Readonly<Record<string, string>>

/** A machine of a small network: programs that it runs see its addresses alone. */
export interface Host {
  run(program: string, args: readonly string[], env: Environment): Promise<Finished>
  spawn(program: string, args: readonly string[], env: Environment): ReturnType<typeof start>
  /** What must stand before a program's line so that this machine runs it. */
  readonly prefix: readonly string[]
}

/** Two machines of one network, 192.168.7.1 and 192.168.7.2, which end with the test. */
export async function openNetwork(env: Environment): Promise<readonly [Host, Host]> {
  const first = await openHost(env)
  const second = await openHost(env)
  const link = 'ip link add lan0 type veth peer name lan1 && ip link set lan1 netns "$0"'
  await must(first.host, ['sh', '-c', link, String(second.pid)], env)
  const up = (device: string, address: string): string =>
    `ip addr add ${address}/24 dev ${device} && ip link set ${device} up && ip route add 224.0.0.0/4 dev ${device}`
  await must(first.host, ['sh', '-c', up('lan0', '192.168.7.1')], env)
  await must(second.host, ['sh', '-c', up('lan1', '192.168.7.2')], env)
  return [first.host, second.host]
}

async function openHost(env: Environment): Promise<{ host: Host; pid: number }> {
  const holder = start('unshare', ['--net', 'sh', '-c', 'ip link set lo up; echo up; cat'], env)
  onTestFinished(async () => {
    const closed = once(holder, 'close')
    killGroup(holder)
    await closed
  })
  await once(holder.stdout, 'data')
  const pid = holder.pid ?? 0
  const prefix = ['nsenter', `--net=/proc/${pid}/ns/net`]
  const [program = '', ...given] = prefix
  return {
    pid,
    host: {
      prefix,
      run: (name, args, own) => run(program, [...given, name, ...args], own),
      spawn: (name, args, own) => start(program, [...given, name, ...args], own),
    },
  }
}

async function must(host: Host, line: readonly string[], env: Environment): Promise<void> {
  const [program = '', ...args] = line
  // A link takes a moment to appear in the other namespace.
  for (let tries = 1; ; tries++) {
    const { exitCode, stderr } = await host.run(program, args, env)
    if (exitCode === 0) return
    if (tries === 20) throw new Error(`${line.join(' ')}: ${stderr}`)
    await delay(100)
  }
}
