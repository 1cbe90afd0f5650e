import { ensureBuilt, command } from '../../helpers/built.ts'
import { startDaemon, type Daemon } from '../../acme/daemon.ts'
import { start, terminate, waitFor } from '../../helpers/subprocess.ts'
import type { Port } from './http1.ts'

/** Every port that Rootling opens, each by the built program over one state directory. */
export interface Ports {
  readonly daemon: Daemon
  readonly acme: Port
  readonly revocation: Port
  /** `rootling ocsp`. */
  readonly ocsp: Port
  /** `rootling serve`. */
  readonly demo: Port
  close(): Promise<void>
}

export async function startPorts(): Promise<Ports> {
  ensureBuilt()
  const daemon = await startDaemon()
  const ca = await daemon.root()
  const [ocsp, demo] = await Promise.all([
    startServing(daemon, 'ocsp'),
    startServing(daemon, 'serve'),
  ])
  return {
    daemon,
    acme: { port: daemon.port, ca },
    revocation: { port: daemon.revocation },
    ocsp,
    demo: { ...demo, ca },
    async close() {
      await Promise.all([ocsp.stop(), demo.stop()])
      await daemon.close()
    },
  }
}

/** Another command that listens, on a free port. */
export async function startServing(
  daemon: Daemon,
  verb: 'ocsp' | 'serve',
  ...options: readonly string[]
): Promise<Port & { stop(): Promise<void> }> {
  const args = [command, verb, '--port', '0', '--json', ...options]
  const child = start(process.execPath, args, daemon.environment())
  let said = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (said += text))
  child.stderr.resume()
  const port = await waitFor(`rootling ${verb}`, () => {
    const found = /"port": *(\d+)/.exec(said)?.[1]
    return found === undefined ? null : Number(found)
  })
  return {
    port,
    stop: () => terminate(child),
  }
}
