import { connect } from 'node:net'
import { addressOf } from './routes.ts'

/** How long a server of this machine may take to accept a connection. */
const patienceMilliseconds = 1_000

/** What became of a connection to a server: `nowhere`: its name has no address. */
export type Reach = 'listens' | 'refused' | 'nowhere'

/** Whether a server accepts connections. */
export const listens = async (to: string): Promise<boolean> => (await reach(to)) === 'listens'

/** Connects to a server, and ends the connection; `localhost` is tried at both its addresses. */
export async function reach(to: string): Promise<Reach> {
  const { host, port } = addressOf(to)
  const isLocal = host === 'localhost' || host.endsWith('.localhost')
  const hosts = isLocal ? ['127.0.0.1', '::1'] : [host]
  const answers = await Promise.all(hosts.map((each) => reachAt(each, port)))
  return answers.find((answer) => answer === 'listens') ?? answers[0] ?? 'refused'
}

const reachAt = (host: string, port: number): Promise<Reach> =>
  new Promise((resolve) => {
    const socket = connect({ host, port })
    const end = (answer: Reach): void => {
      socket.destroy()
      resolve(answer)
    }
    socket.setTimeout(patienceMilliseconds, () => end('refused'))
    socket.once('connect', () => end('listens'))
    socket.once('error', ({ code }: NodeJS.ErrnoException) =>
      end(code === 'ENOTFOUND' || code === 'EAI_AGAIN' ? 'nowhere' : 'refused'),
    )
  })
